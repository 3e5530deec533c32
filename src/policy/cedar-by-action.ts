import type { JsonValue } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import { type CedarAnswer, type CedarQuestion, createCedar } from './cedar-wasm.ts';
import { type CompiledPolicy, type EntityUid, formatUid } from './document.ts';
import type { BakedEntity } from './entity-lines.ts';
import { reachableEntities } from './reachable.ts';

/**
 * Cedar's own engine for many questions about many policies. It looks at every policy with each question, and takes in
 * every entity that a policy names; so for each action it is given the policies that may be for it, and no others.
 * Which those are is told by the action's name alone: a scope of another form than is known here counts as one that may.
 */
export function createCedarByAction(
  policies: readonly CompiledPolicy[],
  entities: readonly BakedEntity[],
): (question: CedarQuestion) => CedarAnswer {
  const parents = new Map(entities.map(({ uid, parents }) => [formatUid(uid), parents]));
  const known = new Map<string, (question: CedarQuestion) => CedarAnswer>();
  return (question) => {
    const name = formatUid(question.action);
    let cedar = known.get(name);
    if (cedar === undefined) {
      const groups = withAncestors(question.action, parents);
      const some = policies.filter(({ action }) => mayBeFor(action, groups));
      // By its name, so that runs after one another (sealborn test --watch) do not fill the memory.
      cedar = createCedar(some, reachableEntities(entities, some), `policies for ${name}`);
      known.set(name, cedar);
    }
    return cedar(question);
  };
}

/** The action's own name, and those of all groups that it is in. */
function withAncestors(action: EntityUid, parents: ReadonlyMap<string, readonly EntityUid[]>): Set<string> {
  const names = new Set([formatUid(action)]);
  for (const name of names) for (const parent of parents.get(name) ?? []) names.add(formatUid(parent));
  return names;
}

function mayBeFor({ entity, entities }: CompiledPolicy['action'], groups: ReadonlySet<string>): boolean {
  const named = Array.isArray(entities) ? entities : [entity];
  return named.some((json) => {
    const uid = uidOf(json);
    return uid === undefined || groups.has(formatUid(uid));
  });
}

function uidOf(json: JsonValue | undefined): EntityUid | undefined {
  const plain = isObject(json) ? (json['__entity'] ?? json) : undefined;
  const { type, id } = isObject(plain) ? plain : {};
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : undefined;
}

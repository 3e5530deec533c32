import type { JsonObject, JsonValue } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import type { CompiledPolicy, PolicyPlace } from './document.ts';
import type { Entity } from './entity.ts';
import { type Code, type Names, compileExpression } from './expression.ts';
import { PolicyError } from './policy-error.ts';

/** The principal or resource that a policy is for: an entity, all below one, all of a type, or any. */
export type LoadedScope = {
  op: 'any' | '==' | 'in';
  entity: Entity | undefined;
  type: string | undefined;
};

export type LoadedPolicy = {
  place: PolicyPlace;
  effect: 'permit' | 'forbid';
  /** Its place among the document's policies. */
  order: number;
  principal: LoadedScope;
  action: { op: 'any' | '==' | 'in'; entities: readonly Entity[] };
  resource: LoadedScope;
  /** Whether the scopes hold wherever the index finds it: then they need not be looked at. */
  isSettled: boolean;
  /** Whether it stands in several places of the index, and so may be found twice. */
  isSpread: boolean;
  /** The search that saw it last (policy-index.ts). */
  lastSearch: number;
  /** The first condition; most have one. It must give `wanted`: true for `when`, false for `unless`. */
  code: Code | undefined;
  wanted: boolean;
  /** The others. */
  more: readonly Condition[];
};

export type Condition = { wanted: boolean; code: Code };

const NO_MORE: readonly Condition[] = [];

/**
 * Turns a policy of `policy.json` into closures.
 * @throws PolicyError `document-invalid`
 */
export function loadPolicy(policy: CompiledPolicy, order: number, names: Names): LoadedPolicy {
  const { id, file, line, effect } = policy;
  try {
    const principal = loadScope(policy.principal, names);
    const action = loadAction(policy.action, names);
    const resource = loadScope(policy.resource, names);
    const [first, ...more] = policy.conditions.map(({ kind, body }) => ({
      wanted: kind === 'when',
      code: compileExpression(body, names),
    }));
    // Thousands of policies don't fit a processor's cache: what a decision needs of one stands in one object.
    return {
      place: { id, file, line },
      effect,
      order,
      principal,
      action,
      resource,
      isSettled: isSettled(principal) && isSettled(resource),
      isSpread: action.entities.length > 1,
      lastSearch: 0,
      code: first?.code,
      wanted: first?.wanted ?? true,
      more: more.length === 0 ? NO_MORE : more,
    };
  } catch (cause) {
    if (!(cause instanceof PolicyError)) throw cause;
    throw new PolicyError('document-invalid', `${file}:${line}: policy "${id}": ${cause.message}`, { cause });
  }
}

/** The index finds a policy by an entity or by a type: nothing is left where it is one of them, and `in`. */
function isSettled({ op, entity, type }: LoadedScope): boolean {
  return op !== '==' && (entity === undefined || type === undefined);
}

function loadScope(scope: JsonObject, names: Names): LoadedScope {
  switch (scope['op']) {
    case 'All':
      return { op: 'any', entity: undefined, type: undefined };
    case '==':
      return { op: '==', entity: entityOf(scope['entity'], names), type: undefined };
    case 'in':
      return { op: 'in', entity: entityOf(scope['entity'], names), type: undefined };
    case 'is': {
      const { entity_type: type, in: group } = scope;
      if (typeof type !== 'string') throw invalid('"is" needs a type');
      if (group === undefined) return { op: 'any', entity: undefined, type };
      if (!isObject(group)) throw invalid('"in" needs an entity');
      return { op: 'in', entity: entityOf(group['entity'], names), type };
    }
    default:
      throw invalid('a scope must be All, ==, in or is');
  }
}

function loadAction(scope: JsonObject, names: Names): LoadedPolicy['action'] {
  const { op, entity, entities } = scope;
  if (op === 'All') return { op: 'any', entities: [] };
  if (op !== '==' && op !== 'in') throw invalid('an action must be All, == or in');
  const uids = Array.isArray(entities) ? entities : [entity];
  return { op, entities: uids.map((uid) => entityOf(uid, names)) };
}

function entityOf(uid: JsonValue | undefined, names: Names): Entity {
  const plain = isObject(uid) ? (uid['__entity'] ?? uid) : undefined;
  const { type, id } = isObject(plain) ? plain : {};
  if (typeof type !== 'string' || typeof id !== 'string') throw invalid('a scope needs an entity');
  return names.entity(type, id);
}

function invalid(problem: string): PolicyError {
  return new PolicyError('document-invalid', problem);
}

import { isObject } from '../base/shape.ts';
import type { CompiledPolicy } from './document.ts';
import type { BakedEntity } from './entity-lines.ts';

/**
 * The entities that deciding a question can depend on, out of a release's: those that the question or a policy names,
 * their parents, and those that an attribute or a tag of one of them names, and so on. Cedar's expressions come to an
 * entity in no other way, so that a decision over these is the decision over all; and Cedar's own engine takes in all
 * entities it is given with every question.
 */
export function reachableEntities(
  entities: readonly BakedEntity[],
  policies: readonly CompiledPolicy[],
): (question: object) => BakedEntity[] {
  const byName = new Map(entities.map((entity) => [nameOf(entity.uid), entity]));
  const reach = (from: unknown, seen: Map<string, BakedEntity>): void => {
    const waiting = [from];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const name of namesIn(next)) {
        const entity = byName.get(name);
        if (entity === undefined || seen.has(name)) continue;
        seen.set(name, entity);
        waiting.push(entity);
      }
    }
  };
  const always = new Map<string, BakedEntity>();
  reach(policies, always);
  return (question) => {
    const seen = new Map(always);
    reach(question, seen);
    return [...seen.values()];
  };
}

/**
 * Every name of an entity in a piece of Cedar's JSON. An object with a type and an id that is something else counts
 * too: one entity too many changes nothing.
 */
function namesIn(json: unknown): string[] {
  const names: string[] = [];
  const waiting = [json];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (Array.isArray(value)) waiting.push(...(value as unknown[]));
    else if (isObject(value)) {
      const { type, id } = value;
      if (typeof type === 'string' && typeof id === 'string') names.push(nameOf({ type, id }));
      waiting.push(...Object.values(value));
    }
  }
  return names;
}

function nameOf({ type, id }: { type: string; id: string }): string {
  return `${type}::${id}`;
}

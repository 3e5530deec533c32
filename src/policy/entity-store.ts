import type { JsonObject } from '../base/json.ts';
import { formatUid, standsTwice } from './document.ts';
import type { BakedEntity } from './entity-lines.ts';
import { type Ancestry, Entity, type EntityData, NO_ANCESTORS } from './entity.ts';
import { EvaluationError } from './evaluation-error.ts';
import { PolicyError } from './policy-error.ts';
import { type ReadingOptions, readValue } from './read-value.ts';
import type { ActionRules } from './schema.ts';
import { createFieldSharer } from './shared-fields.ts';
import { type CedarRecord, EMPTY_RECORD, makeRecord } from './value.ts';

/** Every entity that a release names, each once. */
export type EntityStore = {
  /** The entity of this name, if the release names it. */
  find: (type: string, id: string) => Entity | undefined;
  /** The same; one that the release does not name becomes known by name. For loading only: it grows the store. */
  intern: (type: string, id: string) => Entity;
  /** The ids of a type's entities that exist, in the order in which they were first named. */
  idsOf: (type: string) => string[];
};

/** Ancestors in all lists together at most: what bounds the memory of a hierarchy made to be deep. */
const MAX_ANCESTORS = 10_000_000;
/** Ancestors that are looked through rather than looked up: a short list is faster than a set. */
const SHORT_LIST = 8;

/**
 * Loads the entities of a release, and the hierarchy of its actions.
 * @throws PolicyError `document-invalid` where the hierarchy has a cycle or is too large, `entities-invalid` where
 * an entity stands twice
 */
export function loadEntities(entities: Iterable<BakedEntity>, actions: readonly ActionRules[]): EntityStore {
  const byType = new Map<string, Map<string, Entity>>();
  const find = (type: string, id: string): Entity | undefined => byType.get(type)?.get(id);
  const intern = (type: string, id: string): Entity => {
    let ofType = byType.get(type);
    if (ofType === undefined) byType.set(type, (ofType = new Map()));
    let entity = ofType.get(id);
    if (entity === undefined) ofType.set(id, (entity = new Entity(type, id)));
    return entity;
  };
  const options: ReadingOptions = { entity: intern };
  const share = createFieldSharer();
  const parents = new Map<Entity, Entity[]>();
  const addParents = (entity: Entity, uids: readonly { type: string; id: string }[]): void => {
    if (uids.length === 0) return;
    const above = uids.map(({ type, id }) => intern(type, id));
    const known = parents.get(entity);
    parents.set(entity, known === undefined ? above : [...known, ...above]);
  };
  const fromSchema = new Set<Entity>();
  for (const { uid, parents: uids } of actions) {
    const action = intern(uid.type, uid.id);
    action.define(NO_DATA);
    fromSchema.add(action);
    addParents(action, uids);
  }
  for (const baked of entities) {
    const entity = intern(baked.uid.type, baked.uid.id);
    // An action may be written out among the entities, once like any other.
    if (entity.exists && !fromSchema.delete(entity)) throw standsTwice(baked.uid);
    entity.define(readData(baked, options, share));
    addParents(entity, baked.parents);
  }
  closeHierarchy(parents);
  const idsOf = (type: string): string[] =>
    [...(byType.get(type)?.values() ?? [])].filter(({ exists }) => exists).map(({ id }) => id);
  return { find, intern, idsOf };
}

type FieldSharer = ReturnType<typeof createFieldSharer>;

const NO_DATA: EntityData = { attrs: EMPTY_RECORD, tags: EMPTY_RECORD };

function readData(
  { uid, attrs, tags }: BakedEntity,
  options: ReadingOptions,
  share: FieldSharer,
): EntityData {
  const read = (json: JsonObject | undefined): CedarRecord => {
    const names = json === undefined ? [] : Object.keys(json);
    if (json === undefined || names.length === 0) return EMPTY_RECORD;
    return makeRecord(share(names.map((name) => [name, readValue(json[name] ?? null, undefined, options)])));
  };
  try {
    const data = { attrs: read(attrs), tags: read(tags) };
    return data.attrs === EMPTY_RECORD && data.tags === EMPTY_RECORD ? NO_DATA : data;
  } catch (thrown) {
    if (!(thrown instanceof EvaluationError)) throw thrown;
    throw invalid(`${formatUid(uid)}: ${thrown.message}`);
  }
}

/** Gives every entity its ancestors, parents before children; without recursion, so that depth is not bounded. */
function closeHierarchy(parents: Map<Entity, readonly Entity[]>): void {
  const shared = ancestrySharer();
  const path: Entity[] = [];
  const onPath = new Set<Entity>();
  for (const start of parents.keys()) {
    path.push(start);
    for (let entity = path.at(-1); entity !== undefined; entity = path.at(-1)) {
      // What has no entry any more, or never had one, has its ancestors.
      const above = parents.get(entity);
      const open = above?.find((parent) => parents.has(parent));
      if (open === undefined) {
        if (above !== undefined) entity.ancestry = shared(above);
        parents.delete(entity);
        onPath.delete(entity);
        path.pop();
      } else if (onPath.has(open) || open === entity) {
        throw invalid(`${formatUid(open)} is in itself`);
      } else {
        onPath.add(entity);
        path.push(open);
      }
    }
  }
}

/** Entities with the same parents share one list, so that 100,000 users of ten groups need ten lists. */
function ancestrySharer(): (parents: readonly Entity[]) => Ancestry {
  const numbers = new Map<Entity, number>();
  const known = new Map<string | number, Ancestry>();
  let total = 0;
  const numberOf = (entity: Entity): number => {
    const number = numbers.get(entity) ?? numbers.size;
    numbers.set(entity, number);
    return number;
  };
  return (parents) => {
    const [first] = parents;
    const key = parents.length === 1 ? first && numberOf(first) : parents.map(numberOf).join();
    if (key === undefined) return NO_ANCESTORS;
    const found = known.get(key);
    if (found !== undefined) return found;
    const all = new Set(parents);
    for (const parent of parents) for (const ancestor of parent.ancestry.list) all.add(ancestor);
    total += all.size;
    if (total > MAX_ANCESTORS)
      throw invalid(`the entities' parents add up to more than ${MAX_ANCESTORS} ancestors`);
    const ancestry = { list: [...all], set: all.size > SHORT_LIST ? all : undefined };
    known.set(key, ancestry);
    return ancestry;
  };
}

function invalid(problem: string): PolicyError {
  return new PolicyError('document-invalid', `policy.json: ${problem}`);
}

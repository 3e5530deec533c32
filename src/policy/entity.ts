import type { CedarRecord } from './value.ts';

/** All that an entity is in, at any distance; shared by every entity with the same parents. */
export type Ancestry = {
  readonly list: readonly Entity[];
  /** The same as a set, where the list is too long to look through. */
  readonly set: ReadonlySet<Entity> | undefined;
};

export const NO_ANCESTORS: Ancestry = { list: [], set: undefined };

/**
 * An entity as the engine holds it. Each one that the release or a policy names stands once in the store, so
 * that being the same is being the same object; one that only a request names is made for that request.
 */
export class Entity {
  readonly kind = 'entity';
  readonly type: string;
  readonly id: string;
  /** What it is in. */
  ancestry: Ancestry = NO_ANCESTORS;
  /** The entity of the store with this name, for one that a request describes. */
  readonly named: Entity;
  /** Its data, read at first use; undefined where there is no such entity, only its name. */
  data: (() => EntityData) | undefined;

  constructor(type: string, id: string, named?: Entity) {
    this.type = type;
    this.id = id;
    this.named = named ?? this;
    this.data = undefined;
  }
}

export type EntityData = { readonly attrs: CedarRecord; readonly tags: CedarRecord };

export function sameEntity(a: Entity, b: Entity): boolean {
  return a === b || (a.id === b.id && a.type === b.type);
}

/** `a in b`: the same, or below it. */
export function isIn(a: Entity, b: Entity): boolean {
  return sameEntity(a, b) || isBelow(a, b.named);
}

function isBelow(a: Entity, b: Entity): boolean {
  const { list, set } = a.ancestry;
  return set === undefined ? list.includes(b) : set.has(b);
}

import type { CedarRecord } from './value.ts';

/** All that an entity is in, at any distance; shared by every entity with the same parents. */
export type Ancestry = {
  readonly list: readonly Entity[];
  /** The same as a set, where the list is too long to look through. */
  readonly set: ReadonlySet<Entity> | undefined;
};

export const NO_ANCESTORS: Ancestry = { list: [], set: undefined };

export type EntityData = { readonly attrs: CedarRecord; readonly tags: CedarRecord };

/**
 * An entity as the engine holds it. Each one that the release names stands once in the store, so that being
 * the same is being the same object; one that only a request names is made for that request.
 */
export class Entity {
  readonly kind = 'entity';
  readonly type: string;
  readonly id: string;
  /** The entity of the store with this name, for one that a request describes; else itself. */
  readonly named: Entity;
  /** What it is in. */
  ancestry: Ancestry;
  #data: EntityData | undefined;

  constructor(type: string, id: string, named?: Entity) {
    this.type = type;
    this.id = id;
    this.named = named ?? this;
    this.ancestry = named?.ancestry ?? NO_ANCESTORS;
  }

  /** Whether there is more than a name. */
  get exists(): boolean {
    return this.#data !== undefined;
  }

  /** Its attributes and tags; undefined where there is no such entity. */
  data(): EntityData | undefined {
    return this.#data;
  }

  /** Makes it exist. */
  define(data: EntityData): void {
    this.#data = data;
  }
}

export function sameEntity(a: Entity, b: Entity): boolean {
  return a === b || (a.id === b.id && a.type === b.type);
}

/** `a in b`: the same, or below it. */
export function isIn(a: Entity, b: Entity): boolean {
  if (sameEntity(a, b)) return true;
  const { list, set } = a.ancestry;
  return set === undefined ? list.includes(b.named) : set.has(b.named);
}

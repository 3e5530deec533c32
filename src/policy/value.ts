import type { DateTime, Duration } from './date-time.ts';
import type { Decimal } from './decimal.ts';
import { type Entity, sameEntity } from './entity.ts';
import { type IpAddress, formatIpAddress } from './ip-address.ts';
import type { Long } from './long.ts';

/** A value of Cedar's language. */
export type Value = Plain | Rich;
/** Values that JavaScript compares as Cedar does. */
export type Plain = boolean | string | Long;
export type Rich = Entity | CedarSet | CedarRecord | Extension;
export type Extension = Decimal | IpAddress | DateTime | Duration;

/** A record: attribute names are plain keys of a Map, so that `__proto__` is a name like any other. */
export type CedarRecord = {
  readonly kind: 'record';
  readonly fields: Fields;
  key?: string;
};

/** What a record needs of a Map. */
export type Fields = Pick<ReadonlyMap<string, Value>, 'get' | 'has' | 'size'> & Iterable<[string, Value]>;

/** A set without duplicates and without order. */
export type CedarSet = {
  readonly kind: 'set';
  readonly plain: ReadonlySet<Plain>;
  /** The others by what tells them apart. */
  readonly rich: ReadonlyMap<string, Rich>;
  key?: string;
};

const NO_RICH: ReadonlyMap<string, Rich> = new Map();

export function makeRecord(fields: Fields): CedarRecord {
  return { kind: 'record', fields };
}

export const EMPTY_RECORD: CedarRecord = makeRecord(new Map());

export function makeSet(values: Iterable<Value>): CedarSet {
  const plain = new Set<Plain>();
  let rich: Map<string, Rich> | undefined;
  for (const value of values) {
    if (typeof value === 'object') (rich ??= new Map()).set(keyOf(value), value);
    else plain.add(value);
  }
  return { kind: 'set', plain, rich: rich ?? NO_RICH };
}

/** Every member once. */
export function membersOf({ plain, rich }: CedarSet): Value[] {
  return [...plain, ...rich.values()];
}

export function sizeOf({ plain, rich }: CedarSet): number {
  return plain.size + rich.size;
}

export function setHas({ plain, rich }: CedarSet, value: Value): boolean {
  if (typeof value !== 'object') return plain.has(value);
  return rich.size > 0 && rich.has(keyOf(value));
}

/** Whether every member of `inner` is one of `outer`. */
export function setHasAll(outer: CedarSet, inner: CedarSet): boolean {
  return inner.plain.isSubsetOf(outer.plain) && new Set(inner.rich.keys()).isSubsetOf(outer.rich);
}

/** Whether the two have a member in common. */
export function setHasAny(a: CedarSet, b: CedarSet): boolean {
  if (!a.plain.isDisjointFrom(b.plain)) return true;
  for (const key of a.rich.keys()) if (b.rich.has(key)) return true;
  return false;
}

/** Cedar's `==`: values of different types are different, never an error. */
export function equal(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a.kind !== b.kind) return false;
  if (a.kind === 'entity') return sameEntity(a, b as Entity);
  if (a.kind === 'set') {
    const other = b as CedarSet;
    return a.plain.size === other.plain.size && a.rich.size === other.rich.size && setHasAll(a, other);
  }
  if (a.kind === 'record') {
    const other = b as CedarRecord;
    if (a.fields.size !== other.fields.size) return false;
    for (const [name, value] of a.fields) {
      const counterpart = other.fields.get(name);
      if (counterpart === undefined || !equal(value, counterpart)) return false;
    }
    return true;
  }
  return keyOf(a) === keyOf(b);
}

/** A text that two values have in common exactly when they are equal. */
function keyOf(value: Value): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'object':
      return richKey(value);
    default:
      return String(value);
  }
}

function richKey(value: Rich): string {
  switch (value.kind) {
    case 'entity':
      return `${value.type}::${JSON.stringify(value.id)}`;
    case 'set':
      return (value.key ??= `[${membersOf(value)
        .map((member) => keyOf(member))
        .sort()
        .join()}]`);
    case 'record':
      return (value.key ??= `{${[...value.fields]
        .map(([name, member]) => `${JSON.stringify(name)}:${keyOf(member)}`)
        .sort()
        .join()}}`);
    case 'decimal':
      return `decimal(${value.scaled})`;
    case 'ipaddr':
      return `ip(${formatIpAddress(value)})`;
    case 'datetime':
    case 'duration':
      return `${value.kind}(${value.ms})`;
  }
}

/** A value's type as error messages name it. */
export function typeName(value: Value): string {
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'string':
      return 'string';
    case 'object':
      return value.kind === 'entity' ? `entity of type ${value.type}` : value.kind;
    default:
      return 'long';
  }
}

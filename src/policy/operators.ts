import { type Entity, isIn } from './entity.ts';
import { EvaluationError } from './evaluation-error.ts';
import { type Long, addLong, multiplyLong, subtractLong } from './long.ts';
import {
  type CedarSet,
  type Value,
  equal,
  membersOf,
  setHas,
  setHasAll,
  setHasAny,
  sizeOf,
  typeName,
} from './value.ts';

/** An operator that evaluates both sides first, whatever they are. */
export type BinaryOperator = (left: Value, right: Value) => Value;

const arithmetic =
  (run: (a: Long, b: Long) => Long): BinaryOperator =>
  (left, right) =>
    run(takeLong(left), takeLong(right));

const comparison =
  (run: (a: Long, b: Long) => boolean): BinaryOperator =>
  (left, right) => {
    if (typeof left === 'number' && typeof right === 'number') return run(left, right);
    // datetime and duration are compared like Long, each with its own kind (RFC 80 of Cedar).
    if (typeof left === 'object' && (left.kind === 'datetime' || left.kind === 'duration')) {
      if (typeof right === 'object' && right.kind === left.kind) return run(left.ms, right.ms);
      return typeError(left.kind, right);
    }
    return run(takeLong(left), takeLong(right));
  };

export const BINARY_OPERATORS: ReadonlyMap<string, BinaryOperator> = new Map<string, BinaryOperator>([
  ['==', equal],
  ['!=', (left, right) => !equal(left, right)],
  ['<', comparison((a, b) => a < b)],
  ['<=', comparison((a, b) => a <= b)],
  ['>', comparison((a, b) => a > b)],
  ['>=', comparison((a, b) => a >= b)],
  ['+', arithmetic(addLong)],
  ['-', arithmetic(subtractLong)],
  ['*', arithmetic(multiplyLong)],
  ['in', isInAny],
  ['contains', (left, right) => setHas(takeSet(left), right)],
  ['containsAll', (left, right) => setHasAll(takeSet(left), takeSet(right))],
  ['containsAny', (left, right) => setHasAny(takeSet(left), takeSet(right))],
]);

/** `left in right`, where right is an entity or a set of nothing but entities. */
export function isInAny(left: Value, right: Value): boolean {
  const entity = takeEntity(left);
  if (typeof right === 'object' && right.kind === 'entity') return isIn(entity, right);
  if (typeof right !== 'object' || right.kind !== 'set') return typeError('entity or set of entities', right);
  const groups = membersOf(right).map(takeEntity);
  return groups.some((group) => isIn(entity, group));
}

export function isEmpty(value: Value): boolean {
  return sizeOf(takeSet(value)) === 0;
}

export function takeBool(value: Value): boolean {
  return typeof value === 'boolean' ? value : typeError('bool', value);
}

export function takeString(value: Value): string {
  return typeof value === 'string' ? value : typeError('string', value);
}

export function takeLong(value: Value): Long {
  return typeof value === 'number' || typeof value === 'bigint' ? value : typeError('long', value);
}

export function takeEntity(value: Value): Entity {
  return typeof value === 'object' && value.kind === 'entity' ? value : typeError('entity', value);
}

function takeSet(value: Value): CedarSet {
  return typeof value === 'object' && value.kind === 'set' ? value : typeError('set', value);
}

export function typeError(expected: string, found: Value): never {
  throw new EvaluationError(`type error: expected ${expected}, found ${typeName(found)}`);
}

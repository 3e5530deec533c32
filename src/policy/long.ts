import { EvaluationError } from './evaluation-error.ts';

/**
 * Cedar's Long, a signed 64-bit integer: a number where that is exact (at most 2^53 - 1 either way, never -0),
 * a bigint beyond. Each integer has one form only, so `===` and `<` are right on both, and arithmetic costs a
 * bigint only where it must.
 */
export type Long = number | bigint;

export const MIN_LONG: bigint = -(2n ** 63n);
export const MAX_LONG: bigint = 2n ** 63n - 1n;

/** The one form of an integer; undefined where it is no signed 64-bit integer. */
export function longOf(exact: bigint): Long | undefined {
  if (exact < MIN_LONG || exact > MAX_LONG) return undefined;
  const rounded = Number(exact);
  return Number.isSafeInteger(rounded) ? rounded : exact;
}

/** Whether `value` is a Long: what JSON gives as a number may be a fraction, or a second form of one. */
export function isLong(value: unknown): value is Long {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value === 'bigint' && value >= MIN_LONG && value <= MAX_LONG;
}

/** @throws EvaluationError on overflow */
export function addLong(a: Long, b: Long): Long {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b;
    // An exact sum outside the safe range never rounds to one inside, so this test is enough.
    if (Number.isSafeInteger(sum)) return sum;
  }
  return longOf(BigInt(a) + BigInt(b)) ?? overflow('+', a, b);
}

/** @throws EvaluationError on overflow */
export function subtractLong(a: Long, b: Long): Long {
  if (typeof a === 'number' && typeof b === 'number') {
    const difference = a - b;
    if (Number.isSafeInteger(difference)) return difference;
  }
  return longOf(BigInt(a) - BigInt(b)) ?? overflow('-', a, b);
}

/** @throws EvaluationError on overflow */
export function multiplyLong(a: Long, b: Long): Long {
  if (typeof a === 'number' && typeof b === 'number') {
    const product = a * b;
    if (Number.isSafeInteger(product)) return product + 0; // -0 becomes 0
  }
  return longOf(BigInt(a) * BigInt(b)) ?? overflow('*', a, b);
}

/** @throws EvaluationError on overflow, which is the smallest Long alone */
export function negateLong(a: Long): Long {
  return subtractLong(0, a);
}

/** Division by a positive whole number, toward zero. */
export function divideLong(a: Long, divisor: number): Long {
  if (typeof a === 'number') return (a - (a % divisor)) / divisor + 0;
  return longOf(a / BigInt(divisor)) ?? overflow('/', a, divisor);
}

/** The remainder of Euclidean division by a positive whole number: from 0 to `divisor` - 1. */
export function moduloLong(a: Long, divisor: number): number {
  const remainder = typeof a === 'number' ? a % divisor : Number(a % BigInt(divisor));
  return remainder < 0 ? remainder + divisor : remainder + 0;
}

function overflow(operator: string, a: Long, b: Long): never {
  throw new EvaluationError(`integer overflow: ${a} ${operator} ${b}`);
}

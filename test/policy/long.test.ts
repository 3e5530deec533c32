import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  type Long,
  MAX_LONG,
  MIN_LONG,
  addLong,
  divideLong,
  isLong,
  longOf,
  moduloLong,
  multiplyLong,
  negateLong,
  subtractLong,
} from '../../src/policy/long.ts';

const near = (center: bigint): fc.Arbitrary<bigint> => fc.bigInt(-3n, 3n).map((offset) => center + offset);
const exact = fc
  .oneof(
    fc.bigInt(MIN_LONG, MAX_LONG),
    fc.bigInt(-100n, 100n),
    ...[0n, 2n ** 53n, -(2n ** 53n), 2n ** 31n, 3_037_000_500n, MIN_LONG, MAX_LONG].map(near),
  )
  .filter((value) => value >= MIN_LONG && value <= MAX_LONG);
const attempt = (run: () => Long): Long | 'overflow' => {
  try {
    return run();
  } catch {
    return 'overflow';
  }
};
const long = (value: bigint): Long => longOf(value)!;

describe('Long', () => {
  it('has one form for each integer: a number where that is exact, never -0, else a bigint', () => {
    fc.assert(
      fc.property(exact, (value) => {
        const form = long(value);
        expect(BigInt(form)).toBe(value);
        expect(typeof form === 'number').toBe(Number.isSafeInteger(Number(value)));
        expect(isLong(form)).toBe(true);
      }),
    );
    expect([longOf(MAX_LONG + 1n), longOf(MIN_LONG - 1n)]).toEqual([undefined, undefined]);
    expect([1.5, Number.NaN, 2 ** 53, MAX_LONG + 1n, '1', null].map((value) => isLong(value))).toEqual(
      Array.from({ length: 6 }, () => false),
    );
  });

  it.each<[string, (a: Long, b: Long) => Long, (a: bigint, b: bigint) => bigint]>([
    ['addLong', addLong, (a, b) => a + b],
    ['subtractLong', subtractLong, (a, b) => a - b],
    ['multiplyLong', multiplyLong, (a, b) => a * b],
    ['negateLong', (a) => negateLong(a), (a) => -a],
  ])('%s is exact, or an overflow beyond 64 bits', (_, ours, reference) => {
    fc.assert(
      fc.property(exact, exact, (a, b) => {
        const expected = longOf(reference(a, b)) ?? 'overflow';
        const got = attempt(() => ours(long(a), long(b)));
        expect(got).toBe(expected); // Object.is: tells -0 from 0 too
      }),
      { numRuns: 2000 },
    );
  });

  it('divideLong cuts toward zero, moduloLong is never negative', () => {
    fc.assert(
      fc.property(exact, fc.constantFrom(1, 1000, 60_000, 3_600_000, 86_400_000), (a, divisor) => {
        const by = BigInt(divisor);
        expect(divideLong(long(a), divisor)).toBe(long(a / by));
        expect(moduloLong(long(a), divisor)).toBe(Number(((a % by) + by) % by));
      }),
      { numRuns: 2000 },
    );
  });
});

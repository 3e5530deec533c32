/** Random whole numbers from 0 to below `n`, from a seed. */
export type Random = (n: number) => number;

export function makeRandom(seed: number): Random {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T;
}

export function someOf<T>(random: Random, from: readonly T[], oneIn = 3): T[] {
  return from.filter(() => random(oneIn) === 0);
}

/** As many as `count` says, each made anew. */
export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/**
 * Cedar's WebAssembly interface takes numbers as JavaScript's, which rounds integers beyond 2^53 - 1. A value
 * that would be rounded is refused, never changed silently.
 * @returns what is wrong, empty where nothing is
 */
export function requireExactIntegers(value: unknown): string[] {
  if (typeof value === 'bigint') return [`holds ${value}, which is beyond 2^53 - 1`];
  if (Array.isArray(value)) return value.flatMap((member) => requireExactIntegers(member));
  if (typeof value === 'object' && value !== null) {
    return Object.values(value).flatMap((member) => requireExactIntegers(member));
  }
  return [];
}

/** Rows of the attack table that `test/system` follows. */
export const ATTACK_ROWS = 50;

/** The row that a test shows, by the number that its name begins with: `30: block device written …`. */
export function rowOf(name: string): number | undefined {
  const row = Number(/^(\d{1,2}): /.exec(name)?.[1] ?? Number.NaN);
  return row >= 1 && row <= ATTACK_ROWS ? row : undefined;
}

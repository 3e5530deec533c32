const CLAUSE = /^([ugoa]+)((?:[-+=](?:[rwxXst]*|[ugo]))+)$/;
const STEP = /([-+=])([rwxXst]*|[ugo])(?=[-+=]|$)/g;

const SHIFT = { u: 6, g: 3, o: 0 } as const;
type Who = keyof typeof SHIFT;
const BITS: Readonly<Record<string, number>> = { r: 4, w: 2, x: 1 };

/**
 * The mode that a symbolic one gives, from none: `u=rwx,go=rx` is 0755. One that says not for whom (`+x`) depends
 * on the umask of whoever reads it, and is not taken.
 * @returns undefined where it is no such mode
 */
export function parseSymbolicMode(text: string): number | undefined {
  let mode = 0;
  for (const clause of text.split(',')) {
    const found = CLAUSE.exec(clause);
    if (found === null) return undefined;
    const [, letters = '', steps = ''] = found;
    const who = (['u', 'g', 'o'] as const).filter((one) => letters.includes(one) || letters.includes('a'));
    for (const [, sign = '', what = ''] of steps.matchAll(STEP)) mode = apply(mode, who, sign, what);
  }
  return mode;
}

function apply(mode: number, who: readonly Who[], sign: string, what: string): number {
  let bits = 0;
  let whole = 0;
  for (const one of who) {
    bits |= permissions(mode, what) << SHIFT[one];
    whole |= 7 << SHIFT[one];
    if (one === 'u') whole |= 0o4000;
    if (one === 'g') whole |= 0o2000;
    if (one === 'o') whole |= 0o1000;
    if (what.includes('s') && one === 'u') bits |= 0o4000;
    if (what.includes('s') && one === 'g') bits |= 0o2000;
  }
  if (what.includes('t')) bits |= 0o1000;
  if (sign === '+') return mode | bits;
  if (sign === '-') return mode & ~bits;
  return (mode & ~whole) | bits;
}

function permissions(mode: number, what: string): number {
  if (what === 'u' || what === 'g' || what === 'o') return (mode >> SHIFT[what]) & 7;
  let bits = 0;
  for (const letter of what) bits |= BITS[letter] ?? 0;
  // X: execute where somebody may already.
  if (what.includes('X') && (mode & 0o111) !== 0) bits |= 1;
  return bits;
}

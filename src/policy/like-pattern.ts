/** One piece of a `like` pattern, as Cedar's JSON has it: any text, or exactly this text. */
export type PatternPiece = 'Wildcard' | { Literal: string };

/**
 * A test of a whole text against a pattern, in time at most proportional to the product of both lengths: it
 * goes back to the last wildcard only, which is enough.
 */
export function likePattern(pieces: readonly PatternPiece[]): (text: string) => boolean {
  // The literals between wildcards; "a*b*" is ["a", "b", ""].
  const parts = [''];
  for (const piece of pieces) {
    if (piece === 'Wildcard') parts.push('');
    else parts[parts.length - 1] += piece.Literal;
  }
  const [first = '', ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return (text) => text === first;
  return (text) => {
    if (!text.startsWith(first)) return false;
    let at = first.length;
    for (const part of rest) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return text.length - last.length >= at && text.endsWith(last);
  };
}

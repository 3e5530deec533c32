/** One segment of a path: as it was sent, what it says, and what a lenient server might take it for. */
export type Segment = { raw: string; text: string; lookAlike: string };

/** Characters of a request target (path and query) at most. */
const MAX_TARGET = 8192;
/** Segments of a path at most. */
export const MAX_SEGMENTS = 64;

/** pchar of RFC 3986 without `;`, which some servers cut off with what follows; hex digits as its 6.2.2.1 has them. */
const SEGMENT = /^(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-F]{2})*$/;
/** Octets that may stand encoded: what a URI can't hold, and what encodeURIComponent and its kin encode all the same. */
const ENCODED_ASCII = new Set(' "<>[]^`{|}!$&\'()*+,=:@');
/** A query is not looked into; it must only be one. */
const QUERY = /^[!-"$-~]*$/;
/** Characters that are not seen, or end a line. Joiners stay: Persian and emoji are written with them. */
const INVISIBLE = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/u;
/** What would be structure again if a server decoded, or folded full-width forms, once more. */
const STRUCTURE = /[/\\%?#;]|^\.{1,2}$/;

/**
 * Reads the target of a request in origin form (RFC 9112 section 3.2.1) and gives the segments of its path, or
 * what is wrong with it. A path that has a second spelling which a server could take for the same is not turned
 * into the first: it is wrong. That is every path with an empty or dot segment (a trailing slash is an empty
 * last segment), `;`, `\`, a percent-encoding that need not be or hides structure, hex digits in lower case,
 * UTF-8 that is not valid or not in normal form C, invisible characters, or full-width forms of structure.
 */
export function readNormalPath(target: string): Segment[] | string {
  if (target.length > MAX_TARGET) return `is longer than ${MAX_TARGET} characters`;
  if (!target.startsWith('/')) return 'does not begin with "/"';
  const at = target.indexOf('?');
  if (at >= 0 && !QUERY.test(target.slice(at + 1)))
    return 'has a character in its query that no query can hold';
  const raw = (at < 0 ? target : target.slice(0, at)).slice(1).split('/');
  if (raw.length > MAX_SEGMENTS) return `has more than ${MAX_SEGMENTS} segments`;
  const segments: Segment[] = [];
  for (const [index, one] of raw.entries()) {
    if (one === '' && index < raw.length - 1) return 'has an empty segment';
    const segment = readSegment(one);
    if (typeof segment === 'string') return segment;
    segments.push(segment);
  }
  return segments;
}

/** Reads one segment of a path, or says what is wrong with it. */
export function readSegment(raw: string): Segment | string {
  if (raw === '.' || raw === '..') return 'has a dot segment';
  if (!SEGMENT.test(raw)) return 'has a character that no path in normal form holds';
  if (!raw.includes('%')) return { raw, text: raw, lookAlike: lookAlike(raw) };
  for (const [, hex = ''] of raw.matchAll(/%([0-7][0-9A-F])/g)) {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    if (!ENCODED_ASCII.has(character))
      return `has %${hex}, which must not be encoded, or not be there at all`;
  }
  let text: string;
  try {
    // Strict: overlong forms, surrogates and stray octets throw (ECMA-262 section 19.2.6.1).
    text = decodeURIComponent(raw);
  } catch {
    return 'is not valid UTF-8';
  }
  if (INVISIBLE.test(text)) return 'has a control or invisible character';
  if (text.normalize('NFC') !== text) return 'is not in Unicode normal form C';
  if (STRUCTURE.test(text.normalize('NFKC')))
    return 'has a character that can be taken for "/", "." or the like';
  return { raw, text, lookAlike: lookAlike(text) };
}

/**
 * What a server that folds case or compatible forms, drops a file's ending (`/export.csv` for `/export`) or white
 * space at the end might take the text for. Two segments with the same look-alike must not be told apart by a
 * variable that catches one of them.
 */
function lookAlike(text: string): string {
  // By way of capitals, as some compare: the dotless i, say, has the same one as i. A dotted capital leaves its dot behind.
  const folded = text.normalize('NFKC').toUpperCase().toLowerCase().replaceAll('\u0307', '').trim();
  const dot = folded.indexOf('.', 1);
  return dot < 0 ? folded : folded.slice(0, dot);
}

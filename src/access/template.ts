import { MAX_SEGMENTS, type Segment, readSegment } from './normal-path.ts';

/** A part of a path template: text that must stand there, one segment of any text, or all that is left. */
export type TemplatePart =
  | { kind: 'literal'; segment: Segment }
  | { kind: 'variable'; name: string }
  | { kind: 'tail'; name: string };

/** `GET,HEAD /orders/{id}`: methods, and a path with variables. */
export type RouteTemplate = { text: string; methods: string[]; parts: TemplatePart[] };

/** Methods are case-sensitive tokens (RFC 9110 section 9.1); all that are registered are letters and hyphens. */
const METHOD = /^[A-Z][A-Z-]{0,31}$/;
const VARIABLE = /^\{([A-Za-z][A-Za-z0-9_]{0,63})(\.\.\.)?\}$/;

/**
 * Reads a route's template. `{name}` stands for one segment that is not empty, `{name...}` at the end for one or
 * more of them.
 * @throws Error that says what is wrong
 */
export function parseTemplate(text: string): RouteTemplate {
  const match = /^(\S+) (\/\S*)$/.exec(text);
  const [, methodList = '', path = ''] = match ?? [];
  if (match === null) throw new Error('must be methods and a path, such as "GET,HEAD /orders/{id}"');
  const methods = methodList.split(',');
  const wrong = methods.find((method) => !METHOD.test(method));
  if (wrong !== undefined) throw new Error(`has "${wrong}", which is no method: write GET or GET,HEAD`);
  if (new Set(methods).size !== methods.length) throw new Error('names a method twice');
  const pieces = path.slice(1).split('/');
  if (pieces.length > MAX_SEGMENTS) throw new Error(`has more than ${MAX_SEGMENTS} segments`);
  const parts = pieces.map((piece, index) => readPart(piece, index === pieces.length - 1));
  const names = parts.flatMap((part) => (part.kind === 'literal' ? [] : [part.name]));
  if (new Set(names).size !== names.length) throw new Error('has a variable twice');
  return { text, methods, parts };
}

function readPart(piece: string, isLast: boolean): TemplatePart {
  const [, name, dots] = VARIABLE.exec(piece) ?? [];
  if (name !== undefined) {
    if (dots === undefined) return { kind: 'variable', name };
    if (!isLast) throw new Error(`has {${name}...} before its end`);
    return { kind: 'tail', name };
  }
  if (piece === '' && !isLast) throw new Error('has an empty segment');
  const segment = readSegment(piece);
  if (typeof segment === 'string') {
    throw new Error(
      `has the segment "${piece}", which is neither a variable such as {id} nor a plain name: it ${segment}`,
    );
  }
  return { kind: 'literal', segment };
}

/** How two templates stand to each other, of the paths that both could match. */
export type Relation = 'disjoint' | 'same' | 'first' | 'second' | 'crossing';

/**
 * Which of two templates is the more specific one: `first` or `second` where one is at least as specific in every
 * segment, `crossing` where each is more specific in some, so that no rule but an arbitrary one could choose.
 */
export function relate(first: readonly TemplatePart[], second: readonly TemplatePart[]): Relation {
  let firstWins = false;
  let secondWins = false;
  for (let index = 0; ; index += 1) {
    const [a, b] = [first[index], second[index]];
    if (a === undefined || b === undefined) {
      if (a !== b) return 'disjoint';
      break;
    }
    if (isEmpty(a) !== isEmpty(b)) return 'disjoint';
    if (a.kind === 'literal' && b.kind === 'literal') {
      if (a.segment.raw !== b.segment.raw) return 'disjoint';
    } else if (a.kind !== b.kind) {
      if (RANK[a.kind] < RANK[b.kind]) firstWins = true;
      else secondWins = true;
    }
    if (a.kind !== 'tail' && b.kind !== 'tail') continue;
    // A tail takes all that the other has left, but never the empty segment of a trailing slash.
    if (a.kind !== b.kind && (a.kind === 'tail' ? second : first).slice(index).some(isEmpty))
      return 'disjoint';
    break;
  }
  if (firstWins && secondWins) return 'crossing';
  if (firstWins) return 'first';
  return secondWins ? 'second' : 'same';
}

const RANK = { literal: 0, variable: 1, tail: 2 };

function isEmpty(part: TemplatePart): boolean {
  return part.kind === 'literal' && part.segment.raw === '';
}

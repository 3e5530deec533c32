import { MAX_ENTRIES, MAX_LINE_BYTES } from '../limits.ts';
import { refuse } from './refuse.ts';

const NEWLINE = 0x0a;

/** Lines at most: a handful for each entry, as NetBSD's mtree breaks them at 80 columns. */
const MAX_LINES: number = MAX_ENTRIES * 16;

/** A line with those that continue it, without comment: its words, and the number of the first from 1. */
export type LogicalLine = { line: number; words: string[] };

/**
 * Takes a manifest apart. A backslash at the end joins the next line; `#` begins a comment at the start of a word.
 * Inside a word it is refused: NetBSD's mtree would take it for a comment, libarchive for part of the name. Empty
 * lines are left out.
 */
export function* logicalLines(bytes: Buffer): Generator<LogicalLine> {
  let number = 0;
  let first = 0;
  let joined = '';
  let continues = false;
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, at);
    number += 1;
    if (!continues) first = number;
    if (newline < 0) refuse('mtree-syntax', number, 'the last line has no end: the manifest was cut off');
    if (number > MAX_LINES) refuse('mtree-too-large', number, `there are more than ${MAX_LINES} lines`);
    if (newline - at + joined.length > MAX_LINE_BYTES) {
      refuse('mtree-too-large', number, `the line is longer than ${MAX_LINE_BYTES} bytes`);
    }
    const physical = bytes.toString('latin1', at, newline);
    at = newline + 1;
    const text = withoutComment(physical, number);
    continues = text.length === physical.length && isEscapedAt(text, text.length);
    joined += continues ? text.slice(0, -1) : text;
    if (continues) {
      if (at === bytes.length) refuse('mtree-syntax', number, 'the last line is continued, but none follows');
      continue;
    }
    const words = wordsOf(joined, first);
    joined = '';
    if (words.length > 0) yield { line: first, words };
  }
}

function withoutComment(text: string, line: number): string {
  for (let at = text.indexOf('#'); at >= 0; at = text.indexOf('#', at + 1)) {
    if (isEscapedAt(text, at)) continue;
    if (at === 0 || text[at - 1] === ' ' || text[at - 1] === '\t') return text.slice(0, at);
    refuse('mtree-syntax', line, 'a "#" inside a word: to some readers of mtree it begins a comment');
  }
  return text;
}

/** Whether an odd number of backslashes stands before position `at`. */
function isEscapedAt(text: string, at: number): boolean {
  let from = at;
  while (from > 0 && text[from - 1] === '\\') from -= 1;
  return (at - from) % 2 === 1;
}

function wordsOf(text: string, line: number): string[] {
  const control = /[\u0000-\u0008\u000a-\u001f\u007f]/.exec(text)?.[0];
  if (control !== undefined) {
    const shown = `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`;
    const hint = control === '\r' ? ' (lines that end with CR LF?)' : '';
    refuse('mtree-syntax', line, `the control character ${shown} stands unescaped${hint}`);
  }
  return text.split(/[ \t]+/).filter((word) => word !== '');
}

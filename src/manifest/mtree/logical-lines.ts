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
    const end = endOfLine(physical, number);
    continues = end.continues;
    joined += physical.slice(0, end.at);
    if (continues) {
      if (at === bytes.length) refuse('mtree-syntax', number, 'the last line is continued, but none follows');
      continue;
    }
    const words = wordsOf(joined, first);
    joined = '';
    if (words.length > 0) yield { line: first, words };
  }
}

/** Escapes of vis(3), whose second half may be a backslash or a `#` itself: `\\^\\`, `\\M-#`; or a mark that is none. */
const ESCAPE_OR_MARK = /\\(?:M[-^]|\^)?[^]|\\$|#/g;

/** Where a line's words end: at a comment, or at the backslash by which it continues. */
function endOfLine(text: string, line: number): { at: number; continues: boolean } {
  if (!text.endsWith('\\') && !text.includes('#')) return { at: text.length, continues: false };
  for (const { 0: found, index } of text.matchAll(ESCAPE_OR_MARK)) {
    if (found === '\\') return { at: index, continues: true };
    if (found !== '#') continue;
    if (index === 0 || text[index - 1] === ' ' || text[index - 1] === '\t')
      return { at: index, continues: false };
    refuse('mtree-syntax', line, 'a "#" inside a word: to some readers of mtree it begins a comment');
  }
  return { at: text.length, continues: false };
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

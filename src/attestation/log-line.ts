import { type Sha256, sha256 } from '../base/digest.ts';

/**
 * What a line of the decision log is: `decision`, `search` (one page of a search), or one of those that the log
 * says of itself:
 *
 * - `start`: an agent begins to write; `stop`: it ended in order;
 * - `segment`: the first line of a further file;
 * - `gap`: decisions that could not be logged, counted;
 * - `torn`: what a crash left half-written, and where it was put.
 */
export const LOG_LINE_TYPES = ['decision', 'search', 'start', 'stop', 'segment', 'gap', 'torn'] as const;
export type LogLineType = (typeof LOG_LINE_TYPES)[number];

/** Where a log stands after a line: the line's number and the SHA-256 of its bytes, without the newline. */
export type LogHead = { seq: number; head: Sha256 };

/** What the start of a line says: its place in the chain. */
export type LogLinePlace = { seq: number; previous: Sha256 | null; type: LogLineType };

/** Bytes of one line at most, newline not counted: names of a question may take most of one MiB, escaped. */
export const MAX_LOG_LINE_BYTES: number = 4 * 1024 * 1024;

/** Bytes that a line has at most besides its fields: its place and its newline. */
export const LOG_LINE_FRAME_BYTES = 104;

const CLOSING_BRACE = 0x7d;
const NEWLINE = 0x0a;

/**
 * Writes a line and its newline into a buffer, and says where that and the log ends then.
 * @param before where the log stood; undefined for the first line ever
 * @param fields what `formatFields` made, as UTF-8
 * @param at where the line begins; `LOG_LINE_FRAME_BYTES` more than the fields must have room from there
 */
export function sealLine(
  before: LogHead | undefined,
  fields: Uint8Array,
  out: Buffer,
  at: number,
): { end: number; after: LogHead } {
  const seq = (before?.seq ?? 0) + 1;
  const previous = before === undefined ? 'null' : `"${before.head}"`;
  const start = at + out.write(`{"seq":${seq},"previous":${previous},`, at, 'latin1');
  out.set(fields, start);
  const end = start + fields.length;
  out[end] = CLOSING_BRACE;
  out[end + 1] = NEWLINE;
  return { end: end + 2, after: { seq, head: sha256(out.subarray(at, end + 1)) } };
}

/** Bytes that lines, each with its newline, take at most once they are sealed. */
export function sealedRoom(lines: Buffer): number {
  let count = 0;
  for (let at = lines.indexOf(NEWLINE); at >= 0; at = lines.indexOf(NEWLINE, at + 1)) count += 1;
  return lines.length + count * LOG_LINE_FRAME_BYTES;
}

/**
 * Seals lines, each with its newline, one behind the other into a buffer from its start, which has `sealedRoom` of
 * them; says how many bytes they take, and where the log stands then.
 */
export function sealLines(
  before: LogHead | undefined,
  lines: Buffer,
  out: Buffer,
): { size: number; after: LogHead | undefined } {
  let size = 0;
  let after = before;
  for (let from = 0; from < lines.length;) {
    const end = lines.indexOf(NEWLINE, from);
    const sealed = sealLine(after, lines.subarray(from, end), out, size);
    size = sealed.end;
    after = sealed.after;
    from = end + 1;
  }
  return { size, after };
}

/** The fields of a line besides its place, as JSON without the braces. */
export function formatFields(type: LogLineType, fields: { readonly [name: string]: unknown }): string {
  return JSON.stringify({ type, ...fields }).slice(1, -1);
}

// Written by `sealLine` alone, so it is read by its exact spelling: a chain of a million lines is checked in
// seconds because no line is parsed.
const PLACE = /^\{"seq":([1-9]\d{0,15}),"previous":(?:null|"([0-9a-f]{64})"),"type":"([a-z]+)"[,}]/;
const PLACE_BYTES = 160;

/** Reads the place of a line (without its newline); undefined for what is no line of a decision log. */
export function readPlace(line: Buffer): LogLinePlace | undefined {
  if (line[line.length - 1] !== CLOSING_BRACE) return undefined;
  const [, seq, previous, type] = PLACE.exec(line.toString('latin1', 0, PLACE_BYTES)) ?? [];
  if (seq === undefined || !LOG_LINE_TYPES.includes(type as LogLineType)) return undefined;
  return {
    seq: Number(seq),
    previous: (previous as Sha256 | undefined) ?? null,
    type: type as LogLineType,
  };
}

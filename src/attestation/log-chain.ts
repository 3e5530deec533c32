import { type Sha256, sha256 } from '../base/digest.ts';
import { BaseError } from '../base/errors.ts';
import { parseJson } from '../base/json.ts';
import { type Reader, oneOf, readShape, record, whole } from '../base/shape.ts';
import { type LogHead, type LogLinePlace, MAX_LOG_LINE_BYTES, readPlace } from './log-line.ts';

/** A line's place on disk: its file, and its number there from 1. */
export type LogPosition = { file: string; line: number };

/**
 * The first thing that is wrong with a log:
 *
 * - `malformed`: a line that no agent writes;
 * - `edited`: a line is not the one that the line after it names;
 * - `missing`: lines between two lines are gone;
 * - `out-of-order`: a line stands where another belongs;
 * - `start-missing`: lines at the start are gone that rotation did not remove;
 * - `truncated`: the log ends before the line that is known to have been its last;
 * - `head-mismatch`: the line with the number of the known head is another one.
 */
export type LogBreak = {
  kind: 'malformed' | 'edited' | 'missing' | 'out-of-order' | 'start-missing' | 'truncated' | 'head-mismatch';
  /** Empty, and the line 0, where there is no line at all. */
  file: string;
  line: number;
  /** Absent where the line does not say. */
  seq?: number;
  message: string;
};

export type LogSummary = {
  /** The number of the first line; absent where there is none. */
  first?: number;
  last?: LogHead;
  lines: number;
  /** Decisions, and pages of searches. */
  decisions: number;
  /** Decisions that were not logged, as the log itself says. */
  notLogged: { blocked: number; dropped: number };
  starts: number;
  /** Starts that follow no orderly stop: what was in memory at that moment is not here. */
  crashes: number;
  torn: number;
  /** What became of the known head: its line was found as known, or is gone by rotation; absent where none was given. */
  head?: 'matched' | 'rotated-away';
  break?: LogBreak;
};

export type LogChecker = {
  /** Takes the next line, without its newline. Gives true once the log is found broken: no more is looked at. */
  take: (line: Buffer, at: LogPosition) => boolean;
  /** Says that a file which is not the last ends within a line. */
  cut: (at: LogPosition) => void;
  finish: () => LogSummary;
};

export type LogCheckOptions = {
  /** Where the log is known to have stood: from a report, or from the agent. */
  known?: LogHead;
  /** Whether the lines are all there are, so that lines missing at the start are a break. */
  complete: boolean;
};

type Line = LogLinePlace & LogPosition & { digest: Sha256 };
type Suspect = { before: Line; line: Line };

const startShape = record({ startsAt: whole(1) }, { open: true });
const gapShape = record({ not_logged: whole(1), action: oneOf('block', 'drop') }, { open: true });

/**
 * Checks a decision log line by line, in bounded memory. Each line names the SHA-256 of the line before, so a
 * line can't be changed, removed or moved without the next one contradicting it; the last ones are held by the
 * known head, which others keep.
 */
export function createLogChecker({ known, complete }: LogCheckOptions): LogChecker {
  const summary: LogSummary = {
    lines: 0,
    decisions: 0,
    notLogged: { blocked: 0, dropped: 0 },
    starts: 0,
    crashes: 0,
    torn: 0,
  };
  let first: Line | undefined;
  let last: Line | undefined;
  let stopped = false;
  /** Where the log says it starts, since rotation removed what was before. */
  let startsAt = 1;
  // Which of two lines that contradict each other was changed, the line after them tells.
  let suspect: Suspect | undefined;

  const broken = (found: LogBreak | undefined): boolean => {
    if (found !== undefined) summary.break ??= found;
    return summary.break !== undefined;
  };
  const takeOwn = (line: Line, bytes: Buffer): void => {
    switch (line.type) {
      case 'start':
        summary.starts += 1;
        if (last !== undefined && !stopped) summary.crashes += 1;
        ({ startsAt } = readFields(startShape, bytes));
        break;
      case 'segment':
        ({ startsAt } = readFields(startShape, bytes));
        return;
      case 'gap': {
        const { not_logged: lost, action } = readFields(gapShape, bytes);
        summary.notLogged[action === 'block' ? 'blocked' : 'dropped'] += lost;
        break;
      }
      case 'torn':
        summary.torn += 1;
        return;
      case 'decision':
      case 'search':
        summary.decisions += 1;
        break;
      case 'stop':
        break;
    }
    stopped = line.type === 'stop';
  };

  return {
    take: (bytes, at) => {
      if (summary.break !== undefined) return true;
      const place = readPlace(bytes);
      if (place === undefined) {
        if (suspect !== undefined) return broken(accuse(suspect, undefined, known));
        return broken(breakAt('malformed', at, 'it is no line of a decision log'));
      }
      const line: Line = { ...place, ...at, digest: sha256(bytes) };
      if (suspect !== undefined) return broken(accuse(suspect, line, known));
      if (last !== undefined && (line.seq !== last.seq + 1 || line.previous !== last.digest)) {
        suspect = { before: last, line };
        return false;
      }
      if (last === undefined && broken(checkFirst(line, complete))) return true;
      if (known?.seq === line.seq) {
        if (known.head !== line.digest) {
          const message = `its SHA-256 is ${line.digest}, but is known to have been ${known.head}`;
          return broken(breakAt('head-mismatch', line, message));
        }
        summary.head = 'matched';
      }
      try {
        takeOwn(line, bytes);
      } catch (thrown) {
        if (!(thrown instanceof BaseError)) throw thrown;
        return broken(breakAt('malformed', line, thrown.message));
      }
      summary.lines += 1;
      first ??= line;
      last = line;
      return false;
    },
    cut: (at) => {
      broken(
        suspect === undefined
          ? breakAt('malformed', at, 'the file ends within it')
          : accuse(suspect, undefined, known),
      );
    },
    finish: () => {
      if (suspect !== undefined) broken(accuse(suspect, undefined, known));
      if (first !== undefined && last !== undefined) {
        summary.first = first.seq;
        summary.last = { seq: last.seq, head: last.digest };
        if (known !== undefined && known.seq < first.seq) summary.head = 'rotated-away';
        if (complete && first.seq > startsAt) {
          broken(breakAt('start-missing', first, `${range(startsAt, first.seq - 1)} missing before it`));
        }
      }
      if (known !== undefined && known.seq > (last?.seq ?? 0)) {
        const message = `the log ends here, but is known to have had a line ${known.seq}`;
        broken(breakAt('truncated', last ?? { file: '', line: 0 }, message));
      }
      return summary;
    },
  };
}

function checkFirst(line: Line, complete: boolean): LogBreak | undefined {
  if ((line.seq === 1) !== (line.previous === null)) {
    return breakAt('malformed', line, 'the first line ever follows no other, and it alone');
  }
  if (complete && line.type !== 'start' && line.type !== 'segment') {
    return breakAt('start-missing', line, 'lines before it are missing: no file starts with such a line');
  }
  return undefined;
}

/** What is wrong with two lines of which the second does not follow the first. */
function accuse({ before, line }: Suspect, next: Line | undefined, known: LogHead | undefined): LogBreak {
  const expected = before.seq + 1;
  if (line.seq > expected && next?.seq !== expected) {
    return breakAt('missing', line, `${range(expected, line.seq - 1)} missing before it`);
  }
  if (line.seq !== expected) {
    return breakAt('out-of-order', line, `it stands where line ${expected} belongs`);
  }
  const isLineSound = next === undefined ? line.digest === known?.head : next.previous === line.digest;
  return breakAt(
    'edited',
    isLineSound || (next === undefined && known === undefined) ? before : line,
    `it was changed: line ${line.seq} follows a line of SHA-256 ${line.previous ?? '(none)'}, but line ${before.seq} has ${before.digest}`,
  );
}

function breakAt(
  kind: LogBreak['kind'],
  { file, line, seq }: LogPosition & { seq?: number },
  message: string,
): LogBreak {
  return { kind, file, line, ...(seq === undefined ? {} : { seq }), message };
}

function range(from: number, to: number): string {
  return from === to ? `line ${from} is` : `lines ${from} to ${to} are`;
}

function readFields<T>(reader: Reader<T>, line: Buffer): T {
  return readShape(reader, parseJson(line, 'line', { maxBytes: MAX_LOG_LINE_BYTES }), 'line');
}

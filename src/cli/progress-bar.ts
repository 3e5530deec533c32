import type { Progress } from '../host/measure/measure-tree.ts';
import { type Terminal, formatBytes, formatCount } from './terminal.ts';

export type ProgressBar = { update: (progress: Progress) => void; clear: () => void };

export type CountBar = { update: (done: number, total: number) => void; clear: () => void };

/** Milliseconds between two drawings of what counts fast: no eye sees more. */
const REDRAW_MS = 100;

/** Ends of a command that come while a bar is drawn: Ctrl-C, kill, a terminal that goes away. */
const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * One line on stderr that is drawn over itself, as wide as the terminal is at that moment: files, bytes, rate and
 * time left. It is cleared however the command ends. Where stderr is no terminal nothing is drawn at all.
 */
export function progressBar(doing: string, terminal: Terminal): ProgressBar {
  let drawn = false;
  const clear = (): void => {
    if (!drawn) return;
    terminal.err('\r\u001b[K');
    drawn = false;
    for (const end of ENDS) process.off(end, onEnd);
  };
  const onEnd = (signal: NodeJS.Signals): void => {
    clear();
    // Nobody listens any more: it ends the process as it always would.
    process.kill(process.pid, signal);
  };
  return {
    update: (progress) => {
      if (!terminal.interactive) return;
      if (!drawn) for (const end of ENDS) process.on(end, onEnd);
      drawn = true;
      // The last column stays free: a character there would move some terminals to the next line.
      terminal.err(`\r${progressLine(doing, progress, terminal.columns - 1)}\u001b[K`);
    },
    clear,
  };
}

/**
 * The same for work that never waits: a bar, how many, and time left. It may be told of each of thousands. It listens
 * to no signal: one that comes during such work would wait for its end, where unheard it ends the process at once.
 */
export function countBar(doing: string, what: string, terminal: Terminal): CountBar {
  const since = performance.now();
  let last = since;
  let drawn = false;
  return {
    update: (done, total) => {
      const now = performance.now();
      // What is done in the time of one drawing is not worth a line.
      if (!terminal.interactive || now - last < REDRAW_MS) return;
      [last, drawn] = [now, true];
      const count = { done, total, seconds: (now - since) / 1000 };
      terminal.err(`\r${countLine(doing, what, count, terminal.columns - 1)}\u001b[K`);
    },
    clear: () => {
      if (drawn) terminal.err('\r\u001b[K');
      drawn = false;
    },
  };
}

/** The line that a `countBar` shows, of at most `width`. */
export function countLine(
  doing: string,
  what: string,
  { done, total, seconds }: { done: number; total: number; seconds: number },
  width: number,
): string {
  const part = total === 0 ? 1 : done / total;
  const percent = `${Math.floor(part * 100)}%`;
  const all = `${formatCount(done)}/${formatCount(total)} ${what}`;
  const left = part > 0.02 && seconds > 0.5 ? timeLeft((seconds / part) * (1 - part)) : '';
  return widest(
    doing,
    [
      [`${bar(part, 24)} ${percent}`, all, left],
      [`${bar(part, 12)} ${percent}`, all, left],
      [percent, all, left],
      [percent],
    ],
    width,
  );
}

/**
 * The line that the bar shows, without control characters, of at most `width`. What matters least goes first
 * where there is no room: the bar, the number of all files, the bytes, the rate, the files.
 */
export function progressLine(doing: string, progress: Progress, width: number): string {
  const { files, bytes, totalFiles, totalBytes, listed, seconds } = progress;
  const read = formatBytes(bytes);
  if (totalFiles === undefined || totalBytes === undefined) {
    const entries = listed === undefined ? '' : `${formatCount(listed)} entries listed`;
    const counted = `${formatCount(files)} files`;
    return widest(doing, listed === undefined ? [[counted, read], [counted], [read]] : [[entries]], width);
  }
  const done = shareDone(files, totalFiles, bytes, totalBytes);
  const percent = `${Math.floor(done * 100)}%`;
  const few = `${formatCount(files)} files`;
  const all = `${formatCount(files)}/${formatCount(totalFiles)} files`;
  const rate = seconds > 0 ? `${formatBytes(bytes / seconds)}/s` : '';
  const left = done > 0.02 && seconds > 0.5 ? timeLeft((seconds / done) * (1 - done)) : '';
  return widest(
    doing,
    [
      [`${bar(done, 24)} ${percent}`, all, read, rate, left],
      [`${bar(done, 12)} ${percent}`, all, read, rate, left],
      [percent, all, read, rate, left],
      [percent, few, read, rate, left],
      [percent, few, rate, left],
      [percent, few, left],
      [percent, left],
      [percent],
    ],
    width,
  );
}

/** The first of the rows of words that fits. */
function widest(doing: string, rows: readonly (readonly string[])[], width: number): string {
  for (const row of rows) {
    const line = [doing, ...row.filter((word) => word !== '')].join('  ');
    if (line.length <= width) return line;
  }
  return doing.slice(0, Math.max(0, width));
}

function bar(done: number, cells: number): string {
  const filled = Math.round(done * cells);
  return `[${'#'.repeat(filled)}${'.'.repeat(cells - filled)}]`;
}

/** A tree of many small files is bound by their number, one of few large files by their bytes. */
function shareDone(files: number, totalFiles: number, bytes: number, totalBytes: number): number {
  const share = (part: number, whole: number): number => (whole === 0 ? 1 : Math.min(1, part / whole));
  return share(files, totalFiles) * 0.5 + share(bytes, totalBytes) * 0.5;
}

/** `45 s left`, `1:20 left`, `2:05:00 left`: whole seconds, since digits that dance can't be read. */
function timeLeft(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s left`;
  const two = (number: number): string => String(number % 60).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  const clock = whole < 3600 ? `${minutes}` : `${Math.floor(whole / 3600)}:${two(minutes)}`;
  return `${clock}:${two(whole)} left`;
}

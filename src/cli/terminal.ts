import { escapeControls } from '../base/display.ts';
import { EXIT } from './exit-codes.ts';

/** Where a verb prints: results to stdout, everything said on the way to stderr. */
export type Terminal = {
  out: (text: string) => void;
  err: (text: string) => void;
  /** Styles for stdout and stderr: plain text where that one is no terminal or NO_COLOR is set. */
  outStyle: Style;
  errStyle: Style;
  /** Whether stderr is a terminal, so that a progress bar can be drawn there. */
  interactive: boolean;
  /** Its width at this moment. */
  readonly columns: number;
};

export type Style = {
  good: (text: string) => string;
  bad: (text: string) => string;
  warn: (text: string) => string;
  strong: (text: string) => string;
  faint: (text: string) => string;
};

/** The process's own terminal. Colour follows no-color.org; FORCE_COLOR is not honoured. */
export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  // Whoever read the output is gone (`sealborn status | head -1`): there is nobody left to tell.
  for (const stream of [stdout, stderr]) stream.on('error', () => process.exit(EXIT.io));
  const plain = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    outStyle: style(stdout.isTTY && !plain),
    errStyle: style(stderr.isTTY && !plain),
    interactive: stderr.isTTY && env['TERM'] !== 'dumb',
    get columns() {
      // A terminal that does not know its width says 0.
      return stderr.columns > 0 ? stderr.columns : 80;
    },
  };
}

function style(coloured: boolean): Style {
  const wrap =
    (open: number, close: number) =>
    (text: string): string =>
      coloured ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    good: wrap(32, 39),
    bad: wrap(31, 39),
    warn: wrap(33, 39),
    strong: wrap(1, 22),
    faint: wrap(2, 22),
  };
}

/** Lines of `label  value`, the labels padded to one width. Values are escaped. */
export function labelled(rows: readonly (readonly [label: string, value: string])[], style: Style): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows
    .map(([label, value]) => `${style.faint(label.padEnd(width))}  ${escapeControls(value)}\n`)
    .join('');
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/** Bytes for a person, in powers of 1000: `999 B`, `1.2 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ''}`;
}

/** A count with thin groups: `12,345`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** Seconds for a person: `0.42 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

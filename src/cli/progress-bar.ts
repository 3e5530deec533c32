import type { Progress } from '../host/measure-tree.ts';
import { type Terminal, formatBytes, formatCount, formatSeconds } from './terminal.ts';

export type ProgressBar = { update: (progress: Progress) => void; clear: () => void };

const CELLS = 24;

/**
 * One line on stderr that is drawn over itself: files, bytes, rate and time left. Where stderr is no terminal
 * nothing is drawn at all.
 */
export function progressBar(doing: string, terminal: Terminal): ProgressBar {
  let drawn = false;
  return {
    update: (progress) => {
      if (!terminal.interactive) return;
      drawn = true;
      const line = progressLine(doing, progress).slice(0, Math.max(20, terminal.columns - 1));
      terminal.err(`\r${line}\u001b[K`);
    },
    clear: () => {
      if (drawn) terminal.err('\r\u001b[K');
      drawn = false;
    },
  };
}

/** The line that the bar shows, without control characters. */
export function progressLine(doing: string, progress: Progress): string {
  const { files, bytes, totalFiles, totalBytes, seconds } = progress;
  const rate = seconds > 0 ? `${formatBytes(bytes / seconds)}/s` : '';
  if (totalFiles === undefined || totalBytes === undefined) {
    return `${doing}  ${formatCount(files)} files  ${formatBytes(bytes)}`;
  }
  // A tree of many small files is bound by their number, one of few large files by their bytes.
  const done = Math.min(1, Math.max(share(files, totalFiles), 0) * 0.5 + share(bytes, totalBytes) * 0.5);
  const filled = Math.round(done * CELLS);
  const bar = `${'#'.repeat(filled)}${'.'.repeat(CELLS - filled)}`;
  const left = done > 0.02 && seconds > 0.5 ? `  ${formatSeconds((seconds / done) * (1 - done))} left` : '';
  return (
    `${doing} [${bar}] ${Math.floor(done * 100)}%  ` +
    `${formatCount(files)}/${formatCount(totalFiles)} files  ${formatBytes(bytes)}  ${rate}${left}`
  );
}

function share(part: number, whole: number): number {
  return whole === 0 ? 1 : part / whole;
}

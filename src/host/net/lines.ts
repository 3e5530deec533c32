import { createByteCollector } from './byte-collector.ts';
import { HostError } from '../host-error.ts';

const NEWLINE = 0x0a;

/** Cuts a stream of bytes into lines one at a time, so that whoever takes them can stop in between. */
export type LineCutter = {
  /** Takes the next bytes of the stream. They are held, not copied, until their lines were taken. */
  push: (chunk: Buffer) => void;
  /**
   * The next whole line without its newline, or undefined where there is none yet.
   * @throws HostError `line-too-long`, after which the cutter must not be used again
   */
  next: () => Buffer | undefined;
  /** Whether bytes of a line that has no end yet are held. */
  isInLine: () => boolean;
};

/** Makes a cutter that holds at most `maxBytes` of an unfinished line, and what was pushed and not taken. */
export function createLineCutter(maxBytes: number): LineCutter {
  let chunks: Buffer[] = [];
  let from = 0;
  const unfinished = createByteCollector(maxBytes);
  const hold = (piece: Buffer): void => {
    if (unfinished.add(piece)) return;
    throw new HostError('line-too-long', `a line is longer than ${maxBytes} bytes`);
  };
  return {
    push: (chunk) => void chunks.push(chunk),
    next: () => {
      for (let chunk = chunks[0]; chunk !== undefined; chunk = chunks[0]) {
        const end = chunk.indexOf(NEWLINE, from);
        if (end >= 0) {
          const last = chunk.subarray(from, end);
          from = end + 1;
          if (unfinished.size() === 0 && last.length <= maxBytes) return last; // most lines lie in one chunk
          hold(last);
          return unfinished.take();
        }
        if (from < chunk.length) hold(chunk.subarray(from));
        from = 0;
        chunks = chunks.slice(1);
      }
      return undefined;
    },
    isInLine: () => unfinished.size() > 0,
  };
}

/**
 * Cuts a stream of bytes into lines, without their newline. At most `maxBytes` of an unfinished line are held.
 * @returns a function that takes the next bytes and gives the lines they complete
 * @throws HostError `line-too-long` (the returned function), after which it must not be called again
 */
export function createLineReader(maxBytes: number): (chunk: Buffer) => Buffer[] {
  const cutter = createLineCutter(maxBytes);
  return (chunk) => {
    cutter.push(chunk);
    const lines: Buffer[] = [];
    for (let line = cutter.next(); line !== undefined; line = cutter.next()) lines.push(line);
    return lines;
  };
}

import { createByteQueue } from './byte-queue.ts';

/**
 * Lines that wait to be written, as bytes: as strings they would be objects in V8's heap that each collection has to
 * look at and copy.
 */
export type LineQueue = {
  /** Adds a line, given without its newline; it must hold none. */
  add: (line: string) => void;
  /** Bytes that wait, newlines included. */
  bytes: () => number;
  /**
   * Takes the first lines, newlines included: as many as fit into `bytes`, but at least one. The queue must not be
   * empty. What it gives is overwritten by the next `add`.
   */
  take: (bytes: number) => Buffer;
};

const NEWLINE = 0x0a;
/** Bytes of UTF-8 that a unit of UTF-16 takes at most. */
const BYTES_PER_UNIT = 3;

export function createLineQueue(): LineQueue {
  const queue = createByteQueue();
  return {
    add: (line) => {
      const room = queue.reserve(line.length * BYTES_PER_UNIT + 1);
      const bytes = room.write(line, 'utf8');
      room[bytes] = NEWLINE;
      queue.commit(bytes + 1);
    },
    bytes: queue.size,
    take: (bytes) => {
      const held = queue.held();
      const fits = held.lastIndexOf(NEWLINE, bytes - 1) + 1;
      const taken = held.subarray(0, fits > 0 ? fits : held.indexOf(NEWLINE) + 1);
      queue.drop(taken.length);
      return taken;
    },
  };
}

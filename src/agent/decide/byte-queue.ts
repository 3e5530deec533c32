/**
 * Bytes that wait, first in, first out, in one piece of memory that is used again and again: Buffers of their own
 * would be freed when V8 next looks, megabytes later.
 */
export type ByteQueue = {
  /** Memory behind what is held, for at least so many bytes; what of it is filled is added by `commit`. */
  reserve: (bytes: number) => Buffer;
  commit: (bytes: number) => void;
  /** All that is held. It is overwritten by a later `reserve`, and must not be used after one. */
  held: () => Buffer;
  size: () => number;
  /** Lets go of the first bytes. */
  drop: (bytes: number) => void;
};

/** What is kept while little waits. */
const USUAL_BYTES = 256 * 1024;

export function createByteQueue(): ByteQueue {
  let memory = Buffer.allocUnsafeSlow(USUAL_BYTES);
  let [from, to] = [0, 0];
  const makeRoom = (bytes: number): void => {
    const held = memory.subarray(from, to);
    const wanted = held.length + bytes;
    // Twice of what is wanted, so that bytes are moved rarely; less again after a time of much that waited.
    if (wanted > memory.length || (memory.length > USUAL_BYTES && wanted < memory.length / 8)) {
      memory = Buffer.allocUnsafeSlow(Math.max(USUAL_BYTES, wanted * 2));
    }
    held.copy(memory);
    [from, to] = [0, held.length];
  };
  return {
    reserve: (bytes) => {
      if (to + bytes > memory.length) makeRoom(bytes);
      return memory.subarray(to);
    },
    commit: (bytes) => void (to += bytes),
    held: () => memory.subarray(from, to),
    size: () => to - from,
    drop: (bytes) => {
      from += bytes;
      if (from === to) [from, to] = [0, 0];
    },
  };
}

import { FADV_WILLNEED, fadvise } from '../kernel/linux.ts';

/** Bytes of a file that are asked for ahead; while these are hashed, the kernel's own read-ahead goes on. */
const AHEAD_BYTES = 8 * 1024 * 1024;

/** Asks the disk for the start of an open file and does not wait: others can be asked for, and hashed, meanwhile. */
export function readAhead(descriptor: number, size: number): void {
  fadvise(descriptor, 0, Math.min(size, AHEAD_BYTES), FADV_WILLNEED);
}

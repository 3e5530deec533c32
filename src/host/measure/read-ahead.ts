import { EAGAIN, FADV_WILLNEED, Pinned, RWF_NOWAIT, errno, fadvise, preadv2 } from '../kernel/linux.ts';

/** Bytes of a file that are asked for ahead; while these are hashed, the kernel's own read-ahead goes on. */
const AHEAD_BYTES = 8 * 1024 * 1024;

// struct iovec: address and length, eight bytes each; one byte is enough to see whether its page is there.
const byte = new Pinned(1);
const vector = new Pinned(16);
new BigUint64Array(vector.bytes.buffer).set([BigInt(byte.address), 1n]);

/**
 * Whether the start of an open file can be read without a wait for the disk. Where it can't, the disk is asked
 * for it at once, so that other files can be hashed, and asked for, meanwhile.
 */
export function isAtHand(descriptor: number, size: number): boolean {
  if (size === 0) return true;
  // Where that can't be known (a file system without it, an old kernel), an ordinary read waits as it always did.
  if (preadv2(descriptor, vector.address, 1, 0, RWF_NOWAIT) >= 0 || errno() !== EAGAIN) return true;
  fadvise(descriptor, 0, Math.min(size, AHEAD_BYTES), FADV_WILLNEED);
  return false;
}

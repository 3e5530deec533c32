import { constants } from 'node:fs';
import { createHash } from 'node:crypto';

import type { HashOutcome } from './content-hasher.ts';
import { EINTR, EINVAL, FADV_DONTNEED, Pinned, errno, fadvise, fcntl, pread } from '../kernel/linux.ts';

/** Bytes of one read: a multiple of every block size. */
const CHUNK_BYTES = 256 * 1024;
/** Memory and offsets that O_DIRECT takes: logical blocks have 512 to 4,096 bytes, memory is paged by 4,096. */
const ALIGNMENT = 4096;

/** fcntl.h, the same on every architecture. */
const F_GETFL = 3;
const F_SETFL = 4;

/**
 * Hashes file contents as the disk holds them: with O_DIRECT where the file system takes it; else the kernel is
 * told to let go of the file's pages before they are read. It keeps pages that are mapped or not yet written, so
 * there, a program that runs may be read from memory.
 */
export class DiskHasher {
  /** After 'read': the 32 bytes of SHA-256. */
  digest: Buffer = Buffer.alloc(32);
  /** After 'failed': the errno. */
  error = 0;
  /** Whether the file hashed last was read with O_DIRECT. */
  isDirect = false;
  readonly #memory = new Pinned(CHUNK_BYTES + ALIGNMENT);
  readonly #skip = (ALIGNMENT - (this.#memory.address % ALIGNMENT)) % ALIGNMENT;

  /**
   * Reads exactly `size` bytes from the start of an open file; see `ContentHasher.hash`. Of a file with fs-verity,
   * file systems take O_DIRECT and read through the cache all the same: `mayBeDirect` is false for one.
   */
  hash(
    descriptor: number,
    size: number,
    onBytes: (count: number) => boolean,
    mayBeDirect: boolean,
  ): HashOutcome {
    this.isDirect = mayBeDirect && setDirect(descriptor, true);
    if (!this.isDirect) fadvise(descriptor, 0, 0, FADV_DONTNEED);
    const state = createHash('sha256');
    for (let at = 0; at < size;) {
      const wanted = Math.min(CHUNK_BYTES, size - at);
      const length = this.#fill(descriptor, at, wanted);
      if (length < 0) return 'failed';
      // Whole chunks are asked for, also at the end: a file that is longer by now shows.
      if (length !== wanted) return 'size-changed';
      state.update(this.#memory.bytes.subarray(this.#skip, this.#skip + length));
      if (!onBytes(length)) return 'stopped';
      at += length;
    }
    this.digest = state.digest();
    return 'read';
  }

  #fill(descriptor: number, at: number, wanted: number): number {
    const address = this.#memory.address + this.#skip;
    let length = 0;
    while (length < wanted) {
      const count = pread(descriptor, address + length, CHUNK_BYTES - length, at + length);
      if (count === 0) break;
      if (count > 0) {
        length += count;
        continue;
      }
      this.error = errno();
      if (this.error === EINTR) continue;
      // Some file systems take the flag and not the read.
      if (this.error !== EINVAL || !this.isDirect) return -1;
      this.isDirect = false;
      setDirect(descriptor, false);
      fadvise(descriptor, 0, 0, FADV_DONTNEED);
    }
    return length;
  }
}

/** Whether the descriptor has, or has not, O_DIRECT now, as asked. */
function setDirect(descriptor: number, on: boolean): boolean {
  const flags = fcntl(descriptor, F_GETFL, 0);
  if (flags < 0) return false;
  const wanted = on ? flags | constants.O_DIRECT : flags & ~constants.O_DIRECT;
  return fcntl(descriptor, F_SETFL, wanted) === 0;
}

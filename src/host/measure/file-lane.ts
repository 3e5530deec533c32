import { EAGAIN, EINTR, Pinned, RWF_NOWAIT, errno, pread, preadv2 } from '../kernel/linux.ts';
import { BLOCK_BYTES, PADDING_BYTES, padTail } from './paired-sha256.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/**
 * Bytes of one read. Two lanes of this size lie in the second-level cache of a core, so that what the kernel
 * just copied is hashed from there.
 */
const CHUNK_BYTES = 128 * 1024;

/** One file of two that are read and hashed at the same time: where it stands, and the blocks read but not hashed. */
export class FileLane {
  /** Which of the two: 0 or 1. */
  readonly number: number;
  /** The entry, or -1 where the lane is free. */
  index = -1;
  descriptor = -1;
  /** The inode's state before it was read: the caller's to write. */
  readonly stamp: Uint32Array = new Uint32Array(STAMP_WORDS);
  /** Where its digest goes, where others wait for it: see `LinkedDigests`; or -1. */
  place = -1;
  /** Blocks that wait to be hashed, and where the first stands. */
  blocks = 0;
  address = 0;
  readonly #memory = new Pinned(CHUNK_BYTES + PADDING_BYTES);
  /** A struct iovec: address and length, eight bytes each. */
  readonly #vector = new Pinned(16);
  readonly #length = new Uint32Array(this.#vector.bytes.buffer, 8, 1);
  #size = 0;
  #at = 0;
  #padded = false;

  constructor(number: number) {
    this.number = number;
    new BigUint64Array(this.#vector.bytes.buffer)[0] = BigInt(this.#memory.address);
  }

  /** Takes an open file of `size` bytes. */
  begin(descriptor: number, index: number, size: number, place: number): void {
    this.descriptor = descriptor;
    this.index = index;
    this.place = place;
    this.blocks = 0;
    this.#size = size;
    this.#at = 0;
    this.#padded = false;
  }

  /** Whether all of the file, with its padding, was read. */
  get isRead(): boolean {
    return this.#padded;
  }

  /**
   * Reads the first part if that needs no wait for the disk: its bytes, or -1 where it does, or the file is not
   * of its size. Where that can't be known (a file system without it, an old kernel), it waits as it always did.
   */
  readAtHand(): number {
    const wanted = Math.min(this.#size, CHUNK_BYTES);
    this.#length[0] = this.#size < CHUNK_BYTES ? wanted + 1 : wanted;
    const length = preadv2(this.descriptor, this.#vector.address, 1, 0, RWF_NOWAIT);
    if (length === wanted) return this.#took(length);
    return length < 0 && errno() !== EAGAIN ? this.read() : -1;
  }

  /** Reads the next part. @returns its bytes, or -1 where it can't be read or the file is not of its size */
  read(): number {
    const left = this.#size - this.#at;
    const wanted = Math.min(left, CHUNK_BYTES);
    // At its end one byte more is asked for: a file that is longer by now shows at once.
    const length = this.#fill(left < CHUNK_BYTES ? wanted + 1 : wanted);
    return length === wanted ? this.#took(length) : -1;
  }

  /** So many blocks were hashed. */
  take(blocks: number): void {
    this.blocks -= blocks;
    this.address += blocks * BLOCK_BYTES;
  }

  /** Frees the lane; the descriptor is the caller's. */
  end(): void {
    this.index = -1;
    this.blocks = 0;
  }

  #took(length: number): number {
    this.#padded = this.#size - this.#at < CHUNK_BYTES;
    this.#at += length;
    this.address = this.#memory.address;
    const end = this.#padded ? padTail(this.#memory.bytes, length, this.#size) : length;
    this.blocks = end / BLOCK_BYTES;
    return length;
  }

  #fill(wanted: number): number {
    const { address } = this.#memory;
    let length = 0;
    while (length < wanted) {
      const count = pread(this.descriptor, address + length, wanted - length, this.#at + length);
      if (count < 0) {
        if (errno() === EINTR) continue;
        return -1;
      }
      if (count === 0) break;
      length += count;
      // A short read of a file is its end; asking again would cost every file a second call.
      if (length + 1 === wanted) break;
    }
    return length;
  }
}

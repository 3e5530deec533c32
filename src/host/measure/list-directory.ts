import { EINTR, Pinned, errno, getdents64 } from '../kernel/linux.ts';

/** One call returns some 1,000 names. */
const LISTING_BYTES = 64 * 1024;

/** Lengths and places inside struct linux_dirent64 (getdents64(2)). */
const RECORD_LENGTH = 16;
const RECORD_TYPE = 18;
const RECORD_NAME = 19;

const DOT = 0x2e;

/** Called for each name: its bytes are `bytes[from, to)` with a NUL after, its type as in dirent.h. */
export type OnName = (bytes: Buffer, from: number, to: number, type: number, address: number) => void;

/** Lists directories, one after the other, names as raw bytes; holds one buffer whatever their size. */
export class DirectoryLister {
  readonly #memory = new Pinned(LISTING_BYTES);

  /** Lists an open directory from where its position stands; 0, or the errno. */
  list(descriptor: number, onName: OnName): number {
    for (;;) {
      const listed = this.listSome(descriptor, onName);
      if (listed <= 0) return -listed;
    }
  }

  /** Lists some 1,000 names more: a positive number, 0 at the end, or minus the errno. */
  listSome(descriptor: number, onName: OnName): number {
    const { bytes, address } = this.#memory;
    let length = getdents64(descriptor, address, LISTING_BYTES);
    while (length < 0) {
      const error = errno();
      if (error !== EINTR) return -error;
      length = getdents64(descriptor, address, LISTING_BYTES);
    }
    for (let at = 0; at < length;) {
      const from = at + RECORD_NAME;
      let to = from;
      while (bytes[to] !== 0) to += 1;
      const dots = bytes[from] === DOT && (to === from + 1 || (to === from + 2 && bytes[from + 1] === DOT));
      if (!dots) onName(bytes, from, to, bytes[at + RECORD_TYPE] ?? 0, address + from);
      at += (bytes[at + RECORD_LENGTH] ?? 0) | ((bytes[at + RECORD_LENGTH + 1] ?? 0) << 8);
    }
    return length;
  }
}

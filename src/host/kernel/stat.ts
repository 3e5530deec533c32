import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, EMPTY_NAME, Pinned, errno, statx } from './linux.ts';
import { TYPE_CHAR, TYPE_BLOCK, TYPE_DIR, TYPE_FILE, TYPE_LINK } from '../../manifest/packed-tree.ts';

/** STATX_MNT_ID (Linux 5.8). */
const MOUNT_ID = 0x1000;
/** All of the basic fields but the access time and blocks, and the mount: the mask of linux/stat.h. */
const WANTED = 0x3df | MOUNT_ID;

const TYPE_FIFO = 5;
const TYPE_SOCKET = 6;

/** S_IFMT, shifted right by 12, to the index in `ENTRY_TYPES`; 255 for what is none of them. */
const TYPE_OF: Uint8Array = new Uint8Array(16).fill(255);
TYPE_OF[0o10] = TYPE_FILE;
TYPE_OF[0o04] = TYPE_DIR;
TYPE_OF[0o12] = TYPE_LINK;
TYPE_OF[0o02] = TYPE_CHAR;
TYPE_OF[0o06] = TYPE_BLOCK;
TYPE_OF[0o01] = TYPE_FIFO;
TYPE_OF[0o14] = TYPE_SOCKET;

/** 32-bit words that tell one state of one inode from another: see `Stat.stamp`. */
export const STAMP_WORDS = 7;

/**
 * What statx(2) says of an inode, read in place: its struct is the same on every architecture. One object is
 * used again for every file.
 */
export class Stat {
  readonly #memory = new Pinned(256);
  readonly #words = new Uint32Array(this.#memory.bytes.buffer, 0, 64);
  readonly #halves = new Uint16Array(this.#memory.bytes.buffer, 0, 128);

  /** Reads the inode named by the bytes at `name` in `directory`, never through a link; 0 or the errno. */
  at(directory: number, name: number): number {
    return statx(directory, name, AT_SYMLINK_NOFOLLOW, WANTED, this.#memory.address) === 0 ? 0 : errno();
  }

  /** Reads the inode behind a descriptor; 0 or the errno. */
  of(descriptor: number): number {
    return statx(descriptor, EMPTY_NAME, AT_EMPTY_PATH, WANTED, this.#memory.address) === 0 ? 0 : errno();
  }

  /** Index into `ENTRY_TYPES`, or 255. */
  get type(): number {
    return TYPE_OF[(this.#halves[14] ?? 0) >>> 12] ?? 255;
  }
  get mode(): number {
    return (this.#halves[14] ?? 0) & 0o7777;
  }
  get nlink(): number {
    return this.#words[4] ?? 0;
  }
  get uid(): number {
    return this.#words[5] ?? 0;
  }
  get gid(): number {
    return this.#words[6] ?? 0;
  }
  get size(): number {
    return (this.#words[10] ?? 0) + (this.#words[11] ?? 0) * 2 ** 32;
  }
  /** As `PackedTree.size` keeps it: major times 2^32 plus minor. */
  get device(): number {
    return (this.#words[32] ?? 0) * 2 ** 32 + (this.#words[33] ?? 0);
  }
  /** Whether a file system is mounted here: STATX_ATTR_MOUNT_ROOT (Linux 5.8). */
  get isMountRoot(): boolean {
    return ((this.#words[2] ?? 0) & 0x2000) !== 0;
  }
  /** Whether the kernel checks what is read of the file: STATX_ATTR_VERITY (Linux 5.5). */
  get isVerity(): boolean {
    return ((this.#words[2] ?? 0) & 0x10_0000) !== 0;
  }
  /** The mount through which the inode was reached, as the mount table numbers it; 0 where the kernel does not say. */
  get mountId(): number {
    return ((this.#words[0] ?? 0) & MOUNT_ID) === 0 ? 0 : (this.#words[36] ?? 0);
  }
  /** Seconds since 1970 of the last change to the inode, in the kernel's clock. */
  get changedAt(): number {
    return (this.#words[24] ?? 0) + ((this.#words[25] ?? 0) | 0) * 2 ** 32;
  }

  /** When the content changed: seconds since 1970 and nanoseconds. */
  get modifiedAt(): { seconds: number; nanoseconds: number } {
    const words = this.#words;
    return { seconds: (words[28] ?? 0) + ((words[29] ?? 0) | 0) * 2 ** 32, nanoseconds: words[30] ?? 0 };
  }

  /**
   * Writes what changes whenever the inode does, at `at`: inode number (two words), change time and
   * modification time (low seconds and nanoseconds each), and the file system's number.
   */
  stamp(out: Uint32Array, at: number): void {
    const words = this.#words;
    out[at] = words[8] ?? 0;
    out[at + 1] = words[9] ?? 0;
    out[at + 2] = words[24] ?? 0;
    out[at + 3] = words[26] ?? 0;
    out[at + 4] = words[28] ?? 0;
    out[at + 5] = words[30] ?? 0;
    out[at + 6] = (((words[34] ?? 0) << 20) | (words[35] ?? 0)) >>> 0;
  }

  /** Whether `stamp` would write what stands at `at`. */
  matches(stamp: Uint32Array, at: number): boolean {
    const words = this.#words;
    return (
      stamp[at] === words[8] &&
      stamp[at + 1] === words[9] &&
      stamp[at + 2] === words[24] &&
      stamp[at + 3] === words[26] &&
      stamp[at + 4] === words[28] &&
      stamp[at + 5] === words[30] &&
      stamp[at + 6] === (((words[34] ?? 0) << 20) | (words[35] ?? 0)) >>> 0
    );
  }
}

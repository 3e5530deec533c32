import type { BytePath } from '../base/byte-path.ts';
import type { Sha256 } from '../base/digest.ts';

/** The kinds of thing a directory can hold, in the words of mtree(5); the index is how `PackedTree` keeps it. */
export const ENTRY_TYPES = ['file', 'dir', 'link', 'char', 'block', 'fifo', 'socket'] as const;
export type EntryType = (typeof ENTRY_TYPES)[number];

/** What one path of an image must be: one line of a manifest. No times, no inode number. */
export type Entry = {
  path: BytePath;
  type: EntryType;
  /** Permission bits with set-user-id, set-group-id and sticky: 0 to 0o7777. */
  mode: number;
  uid: number;
  gid: number;
  /** Hard links; not for a directory, where it differs from one file system to another. */
  nlink?: number;
  /** Bytes; a file's only. */
  size?: number;
  /** SHA-256 of the content; a file's only. */
  sha256?: Sha256;
  /** fs-verity digest (SHA-256, 4,096-byte blocks, no salt) of the content; a file's only, where the release asks. */
  fsVerity?: Sha256;
  /** Target of a symbolic link: raw bytes, one UTF-16 code unit each. */
  link?: string;
  /** Device number; of `char` and `block` only. */
  rdev?: { major: number; minor: number };
  /** Extended attributes by raw name; absent where there are none. */
  xattrs?: ReadonlyMap<string, Buffer>;
};

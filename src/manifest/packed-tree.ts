import type { BytePath } from '../base/byte-path.ts';
import { type Sha256, parseSha256 } from '../base/digest.ts';
import { ENTRY_TYPES, type Entry } from './entry.ts';
import { unpackXattrs } from './xattr-blob.ts';

/**
 * A tree of entries in columns: some 95 bytes an entry, in shared memory, so that worker threads compare
 * against one copy. An entry is its index. Order: every directory before what it holds, and what it holds,
 * with all below, before its next sibling; siblings by the bytes of their names. Index 0 is the root.
 */
export type PackedTree = {
  count: number;
  /** Index of the directory that holds the entry; the root's is 0. */
  parent: Uint32Array;
  /** One past the last entry at or below this one: a whole subtree is `[index, end)`. */
  end: Uint32Array;
  /** Where in `names` the entry's own name begins; it ends with a NUL, so that system calls take it there. */
  nameAt: Uint32Array;
  names: Uint8Array;
  /** Index into `ENTRY_TYPES`. */
  type: Uint8Array;
  mode: Uint16Array;
  uid: Uint32Array;
  gid: Uint32Array;
  /** 0 for a directory, whose link count is not compared. */
  nlink: Uint32Array;
  /** Bytes of a file; of a device, major times 2^32 plus minor; else 0. */
  size: Float64Array;
  /** 32 bytes for each entry: SHA-256 of a file's content. */
  digest: Uint8Array;
  /** The same of its fs-verity digest, where the release asked for it: all zeros for an entry without, or empty. */
  verity: Uint8Array;
  /** Where in `extras` the entry's link target and attributes stand; 0 where it has neither. */
  extraAt: Uint32Array;
  /** At each place: length of the target, length of the attributes (four bytes each, little-endian), both. */
  extras: Uint8Array;
  /** The entries of directory `d`, in order: `childList[childAt[d]]` up to `childAt[d + 1]`, not included. */
  childAt: Uint32Array;
  childList: Uint32Array;
};

export const TYPE_FILE = 0;
export const TYPE_DIR = 1;
export const TYPE_LINK = 2;
export const TYPE_CHAR = 3;
export const TYPE_BLOCK = 4;

const NO_BYTES = new Uint8Array(0);

/** The entry's own name: raw bytes, one code unit each; the root's is empty. */
export function nameOf(tree: PackedTree, index: number): string {
  const start = tree.nameAt[index] ?? 0;
  const end = (tree.nameAt[index + 1] ?? 0) - 1;
  // A Buffer over shared memory decodes without a copy of its own.
  return Buffer.from(tree.names.buffer, tree.names.byteOffset + start, end - start).toString('latin1');
}

/** The entry's path below the root. */
export function pathOf(tree: PackedTree, index: number): BytePath {
  const parts: string[] = [];
  for (let at = index; at !== 0; at = tree.parent[at] ?? 0) parts.push(nameOf(tree, at));
  return parts.reverse().join('/') as BytePath;
}

/** The target of a symbolic link as bytes; empty for anything else. */
export function linkBytesOf(tree: PackedTree, index: number): Uint8Array {
  const at = tree.extraAt[index] ?? 0;
  if (at === 0) return NO_BYTES;
  return tree.extras.subarray(at + 8, at + 8 + lengthAt(tree.extras, at));
}

/** The entry's extended attributes as `packXattrs` writes them; empty where it has none. */
export function xattrBytesOf(tree: PackedTree, index: number): Uint8Array {
  const at = tree.extraAt[index] ?? 0;
  if (at === 0) return NO_BYTES;
  const start = at + 8 + lengthAt(tree.extras, at);
  return tree.extras.subarray(start, start + lengthAt(tree.extras, at + 4));
}

/** Regular files of a tree, and their bytes together, hard links counted by name. */
export function sumFiles(tree: PackedTree): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  for (let i = 0; i < tree.count; i += 1) {
    if (tree.type[i] !== TYPE_FILE) continue;
    files += 1;
    bytes += tree.size[i] ?? 0;
  }
  return { files, bytes };
}

/** The entry as an object. */
export function entryAt(tree: PackedTree, index: number): Entry {
  const type = ENTRY_TYPES[tree.type[index] ?? 0] ?? 'file';
  const entry: Entry = {
    path: pathOf(tree, index),
    type,
    mode: tree.mode[index] ?? 0,
    uid: tree.uid[index] ?? 0,
    gid: tree.gid[index] ?? 0,
  };
  const size = tree.size[index] ?? 0;
  if (type !== 'dir') entry.nlink = tree.nlink[index] ?? 0;
  if (type === 'file') {
    entry.size = size;
    entry.sha256 = hexOf(tree.digest.subarray(index * 32, index * 32 + 32));
    const verity = verityOf(tree, index);
    if (verity !== undefined) entry.fsVerity = hexOf(verity);
  } else if (type === 'link') {
    entry.link = Buffer.from(linkBytesOf(tree, index)).toString('latin1');
  } else if (type === 'char' || type === 'block') {
    entry.rdev = { major: Math.floor(size / 2 ** 32), minor: size % 2 ** 32 };
  }
  const xattrs = xattrBytesOf(tree, index);
  if (xattrs.length > 0) entry.xattrs = unpackXattrs(xattrs);
  return entry;
}

/** 32 bytes of the entry's fs-verity digest, or undefined where the manifest has none. */
export function verityOf(tree: PackedTree, index: number): Uint8Array | undefined {
  if (tree.verity.length === 0) return undefined;
  const digest = tree.verity.subarray(index * 32, index * 32 + 32);
  return digest.some((byte) => byte !== 0) ? digest : undefined;
}

function hexOf(digest: Uint8Array): Sha256 {
  return parseSha256(Buffer.from(digest).toString('hex'));
}

/** The index of the entry with this name in directory `directory`, or -1. `to` is one past its last byte. */
export function findChild(
  tree: PackedTree,
  directory: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  const place = findChildPlace(tree, directory, bytes, from, to);
  return place < 0 ? -1 : (tree.childList[place] ?? -1);
}

/** Where in `childList` the entry with this name in a directory stands, or -1. */
export function findChildPlace(
  tree: PackedTree,
  directory: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  let low = tree.childAt[directory] ?? 0;
  let high = (tree.childAt[directory + 1] ?? 0) - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const child = tree.childList[middle] ?? 0;
    const order = compareName(tree, child, bytes, from, to);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/** The index of the entry at `path`, or -1. */
export function findPath(tree: PackedTree, path: BytePath): number {
  if (path === '') return tree.count > 0 ? 0 : -1;
  const bytes = Buffer.from(path, 'latin1');
  let at = 0;
  for (let from = 0; from <= bytes.length && at >= 0;) {
    const slash = bytes.indexOf(0x2f, from);
    const to = slash < 0 ? bytes.length : slash;
    at = findChild(tree, at, bytes, from, to);
    from = to + 1;
  }
  return at;
}

function compareName(tree: PackedTree, index: number, bytes: Uint8Array, from: number, to: number): number {
  const { names } = tree;
  let i = tree.nameAt[index] ?? 0;
  for (let j = from; j < to; i += 1, j += 1) {
    // A name ends with NUL, below every byte of another: the shorter one sorts first.
    const difference = (names[i] ?? 0) - (bytes[j] ?? 0);
    if (difference !== 0) return difference;
  }
  return names[i] ?? 0;
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  );
}

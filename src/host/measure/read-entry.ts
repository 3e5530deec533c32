import type { BytePath } from '../../base/byte-path.ts';
import { ENTRY_TYPES, type Entry } from '../../manifest/entry.ts';
import { MAX_LINK_BYTES } from '../../manifest/limits.ts';
import { TYPE_BLOCK, TYPE_CHAR, TYPE_DIR, TYPE_FILE, TYPE_LINK } from '../../manifest/packed-tree.ts';
import { unpackXattrs } from '../../manifest/xattr-blob.ts';
import { stat, xattrs } from './instruments.ts';
import { Pinned, errno, readlinkat } from '../kernel/linux.ts';

const target = new Pinned(MAX_LINK_BYTES + 1);

/** The target of a link as raw bytes, good until the next read; or the errno. */
export function readLink(directory: number, name: number): Uint8Array | number {
  const length = readlinkat(directory, name, target.address, target.bytes.length);
  return length < 0 ? errno() : target.bytes.subarray(0, length);
}

/** What `stat` holds as an entry: everything but content, link target and attributes. */
export function entryOfStat(path: BytePath): Entry {
  const { type } = stat;
  const entry: Entry = {
    path,
    // What has no known type is nothing that a manifest could list; a socket never matches a file either.
    type: ENTRY_TYPES[type] ?? 'socket',
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
  };
  if (type !== TYPE_DIR) entry.nlink = stat.nlink;
  if (type === TYPE_FILE) entry.size = stat.size;
  if (type === TYPE_CHAR || type === TYPE_BLOCK) {
    entry.rdev = { major: Math.floor(stat.device / 2 ** 32), minor: stat.device % 2 ** 32 };
  }
  return entry;
}

/**
 * What stands under a name in an open directory, without opening it: type, mode, owner, size, link target,
 * attributes; no content. Or the errno.
 */
export function readEntry(directory: number, address: number, name: string, path: BytePath): Entry | number {
  const error = stat.at(directory, address);
  if (error !== 0) return error;
  const entry = entryOfStat(path);
  if (stat.type === TYPE_LINK) {
    const link = readLink(directory, address);
    if (typeof link === 'number') return link;
    entry.link = Buffer.from(link).toString('latin1');
  }
  const attributes = xattrs.ofName(directory, name);
  if (xattrs.error !== 0) return xattrs.error;
  if (attributes.length > 0) entry.xattrs = unpackXattrs(attributes);
  return entry;
}

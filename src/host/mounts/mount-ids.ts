import { realpathSync } from 'node:fs';

import { type BytePath, bytePathOfText } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import { describeMount } from './mount-options.ts';
import { type Mount, parseMountInfo } from './mount-info.ts';
import { type MountTable, createMountTable, pathInTable } from './mount-table.ts';
import { readMountInfo } from './read-mount-info.ts';

const TABLE = '/proc/self/mountinfo';

/** A mount by its id, and the first entry that was found to lie on it. */
export type MountSeen = { id: number; path: BytePath };

/** A finding and the entry that it is about. */
type Placed = { path: BytePath; found: Finding };

/**
 * Holds what the kernel says of each inode against the mount table. A table comes from procfs, and whoever mounts
 * something over procfs writes another; statx(2) says on which mount the inode lies that was opened, and asks no
 * file system for it.
 */
export type MountIdCheck = {
  /** Begins a run; what it gives says which of the mounts seen in it the table does not know, or has elsewhere. */
  begin: () => (seen: readonly MountSeen[], at: string) => Placed[];
};

/** For the tree at `root`, in the mount namespace of this process. */
export function createMountIdCheck(root: string): MountIdCheck {
  let place: BytePath | undefined;
  let last: Buffer | undefined;
  let parsed: { bytes: Buffer; table: MountTable } | undefined;
  const tableOf = (bytes: Buffer): MountTable => {
    if (parsed?.bytes !== bytes) parsed = { bytes, table: createMountTable(parseMountInfo(bytes)) };
    return parsed.table;
  };
  const listedAt = (bytes: Buffer, path: BytePath): Mount | undefined => {
    place ??= bytePathOfText(realpathSync(root));
    return tableOf(bytes).at(pathInTable(place, path));
  };
  // In a chroot that is no mount point, the mount that it lies on is not listed.
  const isStrange = (bytes: Buffer, { id, path }: MountSeen): boolean =>
    (listedAt(bytes, path)?.id ?? id) !== id;
  return {
    begin: () => {
      const before = readMountInfo(TABLE, last);
      return (seen, at) => {
        // Where there is no table, the watch over the tables says so.
        if (before === undefined) return [];
        const after = readMountInfo(TABLE, before) ?? before;
        last = after;
        return seen
          .filter((mount) => isStrange(after, mount))
          .filter((mount) => after === before || isStrange(before, mount))
          .map(({ id, path }) => {
            const listed = listedAt(after, path);
            const expected = listed === undefined ? 'a mount that the table lists' : describeMount(listed);
            const actual = `the kernel names mount ${id}, which the mount table does not have there`;
            return { path, found: finding(path, 'overmounted', expected, actual, at) };
          });
      };
    },
  };
}

import { setImmediate } from 'node:timers/promises';

import { type BytePath, joinPath } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { Bound } from '../../base/mutable-rules.ts';
import { TYPE_BLOCK, TYPE_CHAR, TYPE_DIR, TYPE_FILE } from '../../manifest/packed-tree.ts';
import type { BoundsPlan } from './bounds-plan.ts';
import { FindingList } from './finding-list.ts';
import { lister, stat, xattrs } from './instruments.ts';
import {
  DT_BLK,
  DT_CHR,
  DT_DIR,
  DT_REG,
  DT_UNKNOWN,
  ELOOP,
  ENOENT,
  ENOTDIR,
  close,
  errnoName,
} from '../kernel/linux.ts';
import { openBelow } from './open-below.ts';
import { openRoot } from './open-root.ts';

/**
 * Bounds of one look into one area, against what a hostile writer may put there; beyond them the area itself is
 * the finding. Entries: what a manifest may list too. Depth and waiting directories bound memory.
 */
const MAX_ENTRIES = 1_000_000;
const MAX_DEPTH = 1000;
const MAX_WAITING = 200_000;

/** Types of dirent.h; links, FIFOs and sockets give nobody power. */
const LOOKED_AT: ReadonlySet<number> = new Set([DT_UNKNOWN, DT_DIR, DT_REG, DT_CHR, DT_BLK]);

/** The first findings, how many there are in all, and how many entries were seen. */
export type BoundsFound = { findings: Finding[]; findingsTotal: number; entries: number };

export type BoundsScanOptions = {
  root: string;
  plan: BoundsPlan;
  /** The time that findings carry. */
  at: string;
  /** Heard after each directory with what was found in it; what it awaits paces the look. */
  onDirectory?: (found: BoundsFound) => Promise<void>;
  signal?: AbortSignal;
};

/**
 * Looks through mutable areas for what is out of bounds: a setuid or setgid bit on a file, a file capability, a
 * device node. Names are listed and inodes asked; no file is opened, so no FIFO blocks and no content is read.
 * Directories are opened below the root and never through a link, one at a time and not held, so that nothing
 * keeps a file system from being unmounted. (A setgid bit on a directory hands a group on and gives no power.)
 * @throws HostError where the root can't be opened; the signal's reason
 */
export async function scanBounds(options: BoundsScanOptions): Promise<BoundsFound> {
  const { root, plan, at, onDirectory, signal } = options;
  const findings = new FindingList();
  let entries = 0;
  for (const { path, bounds } of plan.starts) {
    const waiting: BytePath[] = [path];
    let inArea = 0;
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      signal?.throwIfAborted();
      const found = new FindingList();
      const seen = await lookInto(root, next, bounds, plan, MAX_ENTRIES - inArea, at, waiting, found);
      inArea += seen;
      if (inArea >= MAX_ENTRIES || waiting.length > MAX_WAITING) {
        const limit = inArea >= MAX_ENTRIES ? `${MAX_ENTRIES} entries` : `${MAX_WAITING} directories at once`;
        found.add(path, finding(path, 'unbounded', `at most ${limit}`, 'more; not all was looked at', at));
        waiting.length = 0;
      }
      findings.merge(found.first(), found.total);
      await setImmediate();
      await onDirectory?.(foundOf(found, seen));
    }
    entries += inArea;
  }
  return foundOf(findings, entries);
}

function foundOf(list: FindingList, entries: number): BoundsFound {
  return { findings: list.first().map(({ finding }) => finding), findingsTotal: list.total, entries };
}

/** Looks into one directory; gives the entries in it and adds directories below to `waiting`. */
async function lookInto(
  root: string,
  path: BytePath,
  bounds: ReadonlySet<Bound>,
  { borders }: BoundsPlan,
  most: number,
  at: string,
  waiting: BytePath[],
  found: FindingList,
): Promise<number> {
  const unreadable = (where: BytePath, error: number): void => {
    if (error === ENOENT || error === ENOTDIR || error === ELOOP) return; // it is gone, or was replaced
    found.add(where, finding(where, 'unreadable', 'within bounds', errnoName(error), at));
  };
  const descriptor = openOnce(root, path);
  if (descriptor < 0) {
    unreadable(path, -descriptor);
    return 0;
  }
  const deep = path.split('/').length >= MAX_DEPTH;
  let entries = 0;
  const onName = (bytes: Buffer, from: number, to: number, listed: number, address: number): void => {
    entries += 1;
    if (entries > most) return;
    if (!LOOKED_AT.has(listed)) return;
    const name = bytes.toString('latin1', from, to);
    const where = joinPath(path, name);
    if (listed === DT_DIR) return enter(where);
    const error = stat.at(descriptor, address);
    if (error !== 0) return unreadable(where, error);
    if (stat.type === TYPE_DIR) return enter(where);
    const beyond = outOfBounds(descriptor, name, bounds);
    if (beyond.length > 0)
      found.add(where, finding(where, 'unbounded', 'within bounds', beyond.join(' '), at));
    if (xattrs.error !== 0) unreadable(where, xattrs.error);
  };
  const enter = (where: BytePath): void => {
    if (borders.has(where)) return;
    if (!deep) waiting.push(where);
    else
      found.add(
        where,
        finding(where, 'unbounded', `at most ${MAX_DEPTH} levels`, 'more; not looked into', at),
      );
  };
  try {
    for (;;) {
      const listed = lister.listSome(descriptor, onName);
      if (listed < 0) unreadable(path, -listed);
      if (listed <= 0 || entries > most) break;
      await setImmediate(); // a large directory must not keep the heartbeat back
    }
  } finally {
    close(descriptor);
  }
  return Math.min(entries, most);
}

/** What of the inode that `stat` shows is out of bounds, in words. */
function outOfBounds(directory: number, name: string, bounds: ReadonlySet<Bound>): string[] {
  xattrs.error = 0;
  const beyond: string[] = [];
  if (stat.type === TYPE_CHAR || stat.type === TYPE_BLOCK) {
    const device = `${Math.floor(stat.device / 2 ** 32)},${stat.device % 2 ** 32}`;
    if (bounds.has('devices'))
      beyond.push(`type=${stat.type === TYPE_CHAR ? 'char' : 'block'} device=${device}`);
  }
  if (stat.type !== TYPE_FILE) return beyond;
  const setuid = (stat.mode & 0o4000) !== 0 && bounds.has('setuid');
  const setgid = (stat.mode & 0o2000) !== 0 && bounds.has('setgid');
  if (setuid || setgid) {
    beyond.push(`mode=${stat.mode.toString(8).padStart(4, '0')} uid=${stat.uid} gid=${stat.gid}`);
  }
  if (bounds.has('capabilities') && xattrs.isOnName(directory, name, 'security.capability')) {
    beyond.push('xattr.security.capability');
  }
  return beyond;
}

function openOnce(root: string, path: BytePath): number {
  const descriptor = openRoot(root);
  const opened = openBelow(descriptor, path);
  if (opened !== descriptor) close(descriptor);
  return opened;
}

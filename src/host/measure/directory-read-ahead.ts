import { lstat, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { type PackedTree, pathOf } from '../../manifest/packed-tree.ts';
import { CONTROL_NEXT_UNIT, CONTROL_WAITS, type MeasureJob, PART_NUMBERS } from './measure-job.ts';

/** Files that were not in the page cache before directories are worth reading ahead: fewer are there on any machine. */
const COLD_FILES = 64;

/** How often that is looked at, in milliseconds. */
const LOOK_MS = 20;

/** Directories read at once: Node.js has this many threads for file systems unless told otherwise. */
const AT_ONCE = 4;

/**
 * Reads directories before the threads of a run get to them, where the disk is slow to answer: a thread waits for
 * each directory's inode, its names and the inodes of what is in it one after the other, and hashes nothing
 * meanwhile. What is read here goes nowhere but into the kernel's caches: it decides nothing, and errors are for
 * those who look. Nothing is read where the tree is in the caches already. Ends when aborted.
 * @returns how many were read
 */
export async function readDirectoriesAhead(
  root: string,
  job: MeasureJob,
  signal: AbortSignal,
): Promise<number> {
  try {
    while (Atomics.load(job.control, CONTROL_WAITS) < COLD_FILES) {
      await sleep(LOOK_MS, undefined, { signal, ref: false });
    }
  } catch {
    return 0; // the run is over
  }
  const directories = directoriesAhead(job);
  let read = 0;
  const take = async (): Promise<void> => {
    for (const directory of directories) {
      if (signal.aborted) return;
      if (await readAhead(pathIn(root, job.tree, directory))) read += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  return read;
}

/** Directories in the order in which they will be listed, of units that no thread has taken yet. */
function* directoriesAhead({ control, units, parts }: MeasureJob): Generator<number> {
  for (let unit = 0; unit < units.length / 2; unit += 1) {
    for (let part = units[unit * 2] ?? 0; part < (units[unit * 2 + 1] ?? 0); part += 1) {
      if (unit < Atomics.load(control, CONTROL_NEXT_UNIT)) break;
      if (parts[part * PART_NUMBERS + 3] === 1) yield parts[part * PART_NUMBERS] ?? 0;
    }
  }
}

async function readAhead(path: Buffer): Promise<boolean> {
  try {
    const [first] = await readdir(path, { encoding: 'buffer' });
    // Inodes of one directory lie together mostly: one brings those beside it.
    if (first !== undefined) await lstat(Buffer.concat([path, Buffer.from('/'), first]));
    return true;
  } catch {
    return false; // gone, or not for us: the thread that comes here says so
  }
}

function pathIn(root: string, tree: PackedTree, directory: number): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(pathOf(tree, directory), 'latin1')]);
}

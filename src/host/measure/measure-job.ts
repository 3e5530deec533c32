import type { BytePath } from '../../base/byte-path.ts';
import { type PackedTree, TYPE_FILE } from '../../manifest/packed-tree.ts';
import type { PlacedFinding } from './finding-list.ts';
import type { MountSeen } from '../mounts/mount-ids.ts';
import { type LinkedDigestsMemory, allocateLinkedDigests } from './linked-digests.ts';

/**
 * `measure` fills digests in, `full` reads and compares everything, `sweep` reads what changed since, `rehash` reads
 * and compares everything past the page cache, and remembers nothing: what a sweep goes by stays as it is.
 */
export type MeasureMode = 'measure' | 'full' | 'sweep' | 'rehash';

/** Set in `MeasureJob.scope` for a directory where names that are not in the tree are nobody's concern. */
export const SCOPE_OPEN = 1;
/** Set for an entry whose absence is no finding: the bundle's directory before it is installed. */
export const SCOPE_OPTIONAL = 2;
/** Set for a directory that the release declares mutable. */
export const SCOPE_MUTABLE = 4;

/** Places in `MeasureJob.control`. */
export const CONTROL_NEXT_UNIT = 0;
export const CONTROL_STOP = 1;
/** Files whose bytes were not at hand: how often a run had to wait for the disk. */
export const CONTROL_WAITS = 2;
export const CONTROL_NUMBERS = 3;

/**
 * Numbers from one thread's counters to the next one's: two threads that write to the same line of a processor's
 * cache, of 64 bytes and fetched by twos, wait for each other.
 */
export const COUNTER_STRIDE = 16;

/** Numbers for each part in `MeasureJob.parts`. */
export const PART_NUMBERS = 4;

/**
 * What the threads share: all of it in shared memory, written without copies and without messages.
 *
 * A *part* is a stretch of one directory's entries, `childList[from, to)`, and whether the directory itself is
 * checked and listed with it: `[directory, from, to, lists]`. A *unit* is a stretch of parts, `[from, to)`, in
 * the tree's order, which one thread takes at a time: see `plan-job.ts`.
 */
export type MeasureJob = {
  tree: PackedTree;
  /** `SCOPE_` bits of each entry. */
  scope: Uint8Array;
  /** Paths that the release declares absent, for the words of a finding. */
  absent: readonly BytePath[];
  /** Paths of mutable files: they may stand where a directory is a closed world, and are checked on their own. */
  files: readonly BytePath[];
  /**
   * `STAMP_WORDS` of `stat.ts` for each entry: the state in which it was last seen good. Empty where there is one
   * run and nothing is looked at again.
   */
  stamps: Uint32Array;
  /** 1 where the stamp holds. */
  good: Uint8Array;
  /** 1 where a finding about the entry was made in this pass over the tree; taken atomically. */
  claimed: Uint8Array;
  /** Digests of files with several names that were read in this run. */
  linked: LinkedDigestsMemory;
  parts: Uint32Array;
  units: Uint32Array;
  control: Int32Array;
  /** For each thread, `COUNTER_STRIDE` apart: files done, bytes read. */
  counters: Float64Array;
};

/** One run over the whole job. */
export type MeasureRun = {
  mode: MeasureMode;
  /** Descriptor of the tree's root, which all threads share. */
  root: number;
  /** The time that findings carry: RFC 3339. */
  at: string;
  /** Seconds by which the caller's clock is ahead of this machine's: 0 but in tests. */
  clockOffset: number;
  /** Of one core, from 0 to 1: the thread rests so that it takes no more. 1 unless given. */
  share?: number;
};

/** What of the job a run takes. */
export type Work =
  /** Everything: each thread takes units until none is left. */
  | { kind: 'units' }
  /** One stretch of parts, `[from, to)`, in the tree's order; a pass begins with part 0. */
  | { kind: 'parts'; from: number; to: number }
  /** Single entries by their index, in the tree's order; a directory: itself and the names in it. */
  | { kind: 'entries'; entries: Uint32Array };

/** What a thread says when no unit is left. */
export type MeasureAnswer = {
  findings: PlacedFinding[];
  total: number;
  /** In mode `measure`: attributes of files, by index. */
  xattrs: { index: number; bytes: Uint8Array }[];
  /** Mounts on which entries were found to lie, each with the first of them. */
  mounts: MountSeen[];
  /** Files whose content the kernel vouched for by fs-verity, and which were not read. */
  vouched: number;
  /** In mode `rehash`: bytes read from the disk itself; the rest after the cache was told to let go of them. */
  direct: number;
};

/** The same job for a run that goes on beside others: what was seen good is shared, the course of a run is not. */
export function besideJob(job: MeasureJob): MeasureJob {
  return {
    ...job,
    claimed: new Uint8Array(new SharedArrayBuffer(job.claimed.length)),
    control: new Int32Array(new SharedArrayBuffer(job.control.byteLength)),
    counters: allocateCounters(1),
    // Never what another run read: one that goes beside it may read past the page cache.
    linked: allocateLinkedDigests(countLinked(job.tree)),
  };
}

export function allocateCounters(threads: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(threads * COUNTER_STRIDE * 8));
}

/** Names of files that have more than one. */
export function countLinked(tree: PackedTree): number {
  let count = 0;
  for (let i = 0; i < tree.count; i += 1)
    if (tree.type[i] === TYPE_FILE && (tree.nlink[i] ?? 0) > 1) count += 1;
  return count;
}

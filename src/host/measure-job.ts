import type { BytePath } from '../base/byte-path.ts';
import { type PackedTree, TYPE_DIR, TYPE_FILE } from '../manifest/packed-tree.ts';
import type { PlacedFinding } from './finding-list.ts';
import { type LinkedDigestsMemory, allocateLinkedDigests } from './linked-digests.ts';
import { STAMP_WORDS } from './stat.ts';

/** `measure` fills digests in, `full` reads and compares everything, `sweep` reads what changed since. */
export type MeasureMode = 'measure' | 'full' | 'sweep';

/** Set in `MeasureJob.scope` for a directory where names that are not in the tree are nobody's concern. */
export const SCOPE_OPEN = 1;
/** Set for an entry whose absence is no finding: the bundle's directory before it is installed. */
export const SCOPE_OPTIONAL = 2;
/** Set for a directory that the release declares mutable. */
export const SCOPE_MUTABLE = 4;

/** Places in `MeasureJob.control`. */
export const CONTROL_NEXT_UNIT = 0;
export const CONTROL_STOP = 1;

/** Numbers for each part in `MeasureJob.parts`. */
export const PART_NUMBERS = 4;

/**
 * What the threads share: all of it in shared memory, written without copies and without messages.
 *
 * A *part* is a stretch of one directory's entries, `childList[from, to)`, and whether the directory itself is
 * checked and listed with it: `[directory, from, to, lists]`. A *unit* is a stretch of parts, `[from, to)`, in
 * the tree's order, which one thread takes at a time: the larger come first, so that no thread is left with a
 * large one at the end.
 */
export type MeasureJob = {
  tree: PackedTree;
  /** `SCOPE_` bits of each entry. */
  scope: Uint8Array;
  /** Paths that the release declares absent, for the words of a finding. */
  absent: readonly BytePath[];
  /** `STAMP_WORDS` for each entry: the state in which it was last seen good. */
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
  /** For each thread: files done, bytes read. */
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
};

/** What reading an entry costs beside its bytes, in bytes: some 10 µs at 2 GB/s. */
const ENTRY_COST = 20_000;
const MIN_UNIT = 1_000_000;
const MAX_UNIT = 64_000_000;

/** Lays out the work over `tree` for `workers` threads. */
export function planJob(
  tree: PackedTree,
  scope: Uint8Array,
  absent: readonly BytePath[],
  workers: number,
): MeasureJob {
  const target = unitTarget(tree, workers);
  const parts: number[] = [];
  const partCosts: number[] = [];
  for (let directory = 0; directory < tree.count; directory += 1) {
    if (tree.type[directory] === TYPE_DIR) splitDirectory(tree, directory, target, parts, partCosts);
  }
  const units = gatherUnits(partCosts, target);
  return {
    tree,
    scope,
    absent,
    stamps: new Uint32Array(new SharedArrayBuffer(tree.count * STAMP_WORDS * 4)),
    good: new Uint8Array(new SharedArrayBuffer(tree.count)),
    claimed: new Uint8Array(new SharedArrayBuffer(tree.count)),
    linked: allocateLinkedDigests(countLinked(tree)),
    parts: shareWords(parts),
    units: shareWords(units),
    control: new Int32Array(new SharedArrayBuffer(8)),
    counters: new Float64Array(new SharedArrayBuffer(workers * 16)),
  };
}

/** The same job for a run that goes on beside others: what was seen good is shared, the course of a run is not. */
export function besideJob(job: MeasureJob): MeasureJob {
  return {
    ...job,
    claimed: new Uint8Array(new SharedArrayBuffer(job.claimed.length)),
    control: new Int32Array(new SharedArrayBuffer(job.control.byteLength)),
    counters: new Float64Array(new SharedArrayBuffer(16)),
    // Never what another run read: one that goes beside it may read past the page cache.
    linked: allocateLinkedDigests(countLinked(job.tree)),
  };
}

/** Names of files that have more than one. */
function countLinked(tree: PackedTree): number {
  let count = 0;
  for (let i = 0; i < tree.count; i += 1)
    if (tree.type[i] === TYPE_FILE && (tree.nlink[i] ?? 0) > 1) count += 1;
  return count;
}

function unitTarget(tree: PackedTree, workers: number): number {
  let total = tree.count * ENTRY_COST;
  for (let i = 0; i < tree.count; i += 1) if (tree.type[i] === TYPE_FILE) total += tree.size[i] ?? 0;
  return Math.min(MAX_UNIT, Math.max(MIN_UNIT, total / (workers * 32)));
}

function splitDirectory(
  tree: PackedTree,
  directory: number,
  target: number,
  parts: number[],
  costs: number[],
): void {
  const end = tree.childAt[directory + 1] ?? 0;
  let from = tree.childAt[directory] ?? 0;
  let lists = 1;
  let cost = ENTRY_COST;
  for (let at = from; at < end; at += 1) {
    const child = tree.childList[at] ?? 0;
    if (tree.type[child] !== TYPE_DIR) cost += ENTRY_COST;
    if (tree.type[child] === TYPE_FILE) cost += tree.size[child] ?? 0;
    if (cost >= target && at + 1 < end) {
      parts.push(directory, from, at + 1, lists);
      costs.push(cost);
      from = at + 1;
      lists = 0;
      cost = 0;
    }
  }
  parts.push(directory, from, end, lists);
  costs.push(cost);
}

function gatherUnits(partCosts: readonly number[], target: number): number[] {
  const units: { from: number; to: number; cost: number }[] = [];
  let from = 0;
  let cost = 0;
  for (const [at, partCost] of partCosts.entries()) {
    cost += partCost;
    if (cost >= target || at === partCosts.length - 1) {
      units.push({ from, to: at + 1, cost });
      from = at + 1;
      cost = 0;
    }
  }
  units.sort((a, b) => b.cost - a.cost);
  return units.flatMap((unit) => [unit.from, unit.to]);
}

function shareWords(words: readonly number[]): Uint32Array {
  const out = new Uint32Array(new SharedArrayBuffer(words.length * 4));
  out.set(words);
  return out;
}

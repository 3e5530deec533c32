import { type PackedTree, TYPE_DIR, TYPE_FILE } from '../../manifest/packed-tree.ts';
import { LAST_RANK, rankEntries } from './boot-order.ts';
import { allocateLinkedDigests } from './linked-digests.ts';
import { CONTROL_NUMBERS, type MeasureJob, allocateCounters, countLinked } from './measure-job.ts';
import type { Scope } from './measure-scope.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/** What reading an entry costs beside its bytes, in bytes: some 10 µs at 2 GB/s. */
const ENTRY_COST = 20_000;
const MIN_UNIT = 1_000_000;
/** 10 ms of work: as long as a thread may be alone with the last one. */
const MAX_UNIT = 16_000_000;

/** A stretch of a directory: see `MeasureJob`. All in it has one rank of `boot-order.ts`. */
type Part = {
  numbers: [directory: number, from: number, to: number, lists: number];
  cost: number;
  rank: number;
};

/**
 * Lays out the work over `tree` for `workers` threads: what matters most first, then the larger units, so that
 * no thread is left with a large one at the end. Unless it `remembers`, a run leaves nothing that a sweep goes by.
 */
export function planJob(
  tree: PackedTree,
  scope: Uint8Array,
  { absent, files }: Pick<Scope, 'absent' | 'files'>,
  workers: number,
  remembers = true,
): MeasureJob {
  const target = unitTarget(tree, workers);
  const ranks = rankEntries(tree);
  const parts: Part[] = [];
  for (let directory = 0; directory < tree.count; directory += 1) {
    if (tree.type[directory] === TYPE_DIR) splitDirectory(tree, ranks, directory, target, parts);
  }
  return {
    tree,
    scope,
    absent,
    files: [...files.keys()],
    stamps: new Uint32Array(new SharedArrayBuffer(remembers ? tree.count * STAMP_WORDS * 4 : 0)),
    good: new Uint8Array(new SharedArrayBuffer(tree.count)),
    claimed: new Uint8Array(new SharedArrayBuffer(tree.count)),
    linked: allocateLinkedDigests(countLinked(tree)),
    parts: shareWords(parts.flatMap(({ numbers }) => numbers)),
    units: shareWords(gatherUnits(parts, target)),
    control: new Int32Array(new SharedArrayBuffer(CONTROL_NUMBERS * 4)),
    counters: allocateCounters(workers),
  };
}

function unitTarget(tree: PackedTree, workers: number): number {
  let total = tree.count * ENTRY_COST;
  for (let i = 0; i < tree.count; i += 1) if (tree.type[i] === TYPE_FILE) total += tree.size[i] ?? 0;
  return Math.min(MAX_UNIT, Math.max(MIN_UNIT, total / (workers * 32)));
}

function splitDirectory(
  tree: PackedTree,
  ranks: Uint8Array,
  directory: number,
  target: number,
  parts: Part[],
): void {
  const end = tree.childAt[directory + 1] ?? 0;
  let from = tree.childAt[directory] ?? 0;
  let lists = 1;
  let cost = ENTRY_COST;
  let rank = ranks[directory] ?? LAST_RANK;
  const cut = (to: number): void => {
    parts.push({ numbers: [directory, from, to, lists], cost, rank });
    from = to;
    lists = 0;
    cost = 0;
  };
  for (let at = from; at < end; at += 1) {
    const child = tree.childList[at] ?? 0;
    // A directory is work of its own: its parts come under its own index.
    if (tree.type[child] === TYPE_DIR) continue;
    const childRank = ranks[child] ?? LAST_RANK;
    if (childRank !== rank) {
      // Before any file, the listing goes with the first one: what was added beside it shows as early.
      if (cost > lists * ENTRY_COST || rank < childRank) cut(at);
      rank = childRank;
    }
    cost += ENTRY_COST + (tree.type[child] === TYPE_FILE ? (tree.size[child] ?? 0) : 0);
    if (cost >= target && at + 1 < end) cut(at + 1);
  }
  cut(end);
}

function gatherUnits(parts: readonly Part[], target: number): number[] {
  const units: { from: number; to: number; cost: number; rank: number }[] = [];
  let from = 0;
  let cost = 0;
  for (const [at, part] of parts.entries()) {
    cost += part.cost;
    if (cost < target && parts[at + 1]?.rank === part.rank) continue;
    units.push({ from, to: at + 1, cost, rank: part.rank });
    from = at + 1;
    cost = 0;
  }
  units.sort((a, b) => a.rank - b.rank || b.cost - a.cost);
  return units.flatMap((unit) => [unit.from, unit.to]);
}

function shareWords(words: readonly number[]): Uint32Array {
  const out = new Uint32Array(new SharedArrayBuffer(words.length * 4));
  out.set(words);
  return out;
}

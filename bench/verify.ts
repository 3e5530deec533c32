/**
 * npm run -s bench:verify -- [--root DIR] [--workers N] [--reps N] [--growth] [--json]
 *
 * How long a full check of a tree takes beside reading the same files into nowhere, which no check can beat,
 * and beside others that hash them. Warm: the files are in the page cache. Cold, as root: it is dropped before
 * each run. Contenders take turns, so that a slow spell of the machine hits all; each figure is a median.
 * With --growth: trees of 10,000 to 500,000 small files instead, and how time and memory grow.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { build } from 'esbuild';

import { type BytePath, pathBytes } from '../src/base/byte-path.ts';
import { parseSha256 } from '../src/base/digest.ts';
import { measureTree } from '../src/host/measure-tree.ts';
import type { Entry } from '../src/manifest/entry.ts';
import { formatManifest } from '../src/manifest/format.ts';
import { rulesWith } from '../test/support/rules.ts';
import type { CheckTiming } from './verify-checker.ts';
import { AIDE_CHECK, type Contender, cats, checkers, hashers, installMissing } from './verify-contenders.ts';
import { growth } from './verify-growth.ts';
import { type Goal, type Row, goal, median, print, round } from './verify-report.ts';

/** From the issue on measurement. */
const GOAL_WARM = 1.25;
const GOAL_COLD = 1.15;
const GOAL_AIDE = 4;
const GOAL_PEAK_MB = 120;
const GOAL_PEAK_FILES = 125_000;
const GOAL_FIRST_SECONDS = 1;

const { values: flags } = parseArgs({
  options: {
    root: { type: 'string', default: '/usr' },
    workers: { type: 'string', default: String(Math.min(8, availableParallelism())) },
    reps: { type: 'string', default: '5' },
    growth: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const root = resolve(flags.root);
const workers = Number(flags.workers);
const reps = Number(flags.reps);
if (!(workers >= 1 && reps >= 1)) throw new Error('--workers and --reps must be whole numbers from 1');

const OURS = `sealborn, ${workers} threads`;

const directory = mkdtempSync(join(tmpdir(), 'sealborn-bench-'));
try {
  const checker = await bundleChecker();
  if (flags.growth) print(await growth({ checker, directory, workers, note }), flags.json);
  else await bench(checker);
} finally {
  rmSync(directory, { recursive: true });
}

async function bench(checker: string): Promise<void> {
  installMissing(note);
  note(`measuring ${root} ...`);
  const rules = rulesWith({ roots: [root] });
  const { entries, files, bytes } = await measureTree({ root: '/', rules, workers });
  const manifest = join(directory, 'manifest.mtree');
  writeFileSync(manifest, formatManifest(entries));
  const tampered = join(directory, 'tampered.mtree');
  writeFileSync(tampered, formatManifest(withOtherContent(entries)));
  const relative = join(directory, 'relative.mtree');
  writeFileSync(relative, formatManifest(below(entries)));
  const list = join(directory, 'files');
  writeFileSync(list, listOf(entries));
  const total = entries.length;
  entries.length = 0;

  const checks: CheckTiming[] = [];
  const process_ = fork(checker, ['/', root, manifest, `${workers}`]);
  const ours: Contender = {
    name: OURS,
    run: async () => {
      const timing = await ask(process_);
      if (timing.findings > 0)
        throw new Error('the tree changed meanwhile: measure one that nothing writes to');
      checks.push(timing);
      return timing.seconds;
    },
  };
  const ground = { root, list, directory, workers };
  const floor = cats(ground);
  const warm = await takeTurns([ours, ...floor, ...hashers(ground)], reps, () => undefined, 'warm');
  const cold = canDropCache()
    ? await takeTurns([ours, ...floor], Math.min(3, reps), dropCache, 'cold')
    : new Map();
  process_.disconnect();
  const first = await firstFinding(checker, tampered);
  const slow = await takeTurns(checkers(ground, relative), 1, () => undefined, 'slow');

  const best = (times: Map<string, number[]>): number =>
    Math.min(...floor.map(({ name }) => median(times.get(name) ?? [])));
  const mine = median(warm.get(OURS) ?? []);
  const goals: Goal[] = [
    goal('full check, warm, beside the cat floor', mine / best(warm), 'x', GOAL_WARM, 'most'),
  ];
  if (cold.size > 0) {
    const ratio = median(cold.get(OURS) ?? []) / best(cold);
    goals.push(goal('full check, cold, beside the cold cat floor', ratio, 'x', GOAL_COLD, 'most'));
  }
  const aide = slow.get(AIDE_CHECK);
  if (aide !== undefined) {
    goals.push(goal('times as fast as the check of AIDE', median(aide) / mine, 'x', GOAL_AIDE, 'least'));
  }
  const peak = Math.max(...checks.map(({ peakBytes }) => peakBytes)) / 1e6;
  // What a check takes beyond the program itself grows with the files; a small tree says nothing of it.
  goals.push(
    goal(
      `peak memory of a check of ${GOAL_PEAK_FILES} files (here ${files})`,
      peak,
      'MB',
      GOAL_PEAK_MB,
      'most',
    ),
  );
  if (first !== undefined) {
    goals.push(goal('from start to a finding in what is read first', first, 's', GOAL_FIRST_SECONDS, 'most'));
  }
  const rows: Row[] = [
    ...rowsOf(warm, 'warm', best(warm)),
    ...rowsOf(cold, 'cold', best(cold)),
    ...rowsOf(slow, 'warm', best(warm)),
  ];
  const extra = {
    parseSeconds: round(median(checks.map(({ parseSeconds }) => parseSeconds))),
    sweepSeconds: round(median(checks.map(({ sweepSeconds }) => sweepSeconds))),
    gigabytesPerSecond: round(bytes / mine / 1e9),
  };
  const tree = { root, files, bytes, entries: total, workers, reps };
  print({ bench: 'verify', goals, rows, tree, extra }, flags.json);
}

function rowsOf(times: Map<string, number[]>, cache: string, floor: number): Row[] {
  return [...times].map(([name, seconds]) => ({
    name,
    cache,
    seconds: round(median(seconds)),
    ratio: round(median(seconds) / floor),
    runs: seconds.length,
  }));
}

async function takeTurns(
  contenders: readonly Contender[],
  rounds: number,
  before: () => void,
  what: 'warm' | 'cold' | 'slow',
): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  // The first warm round only fills the page cache.
  for (let round = what === 'warm' ? 0 : 1; round <= rounds; round += 1) {
    for (const { name, run } of contenders) {
      note(`${what}, run ${round} of ${rounds}: ${name} ...`);
      before();
      const seconds = await run();
      if (round > 0) times.get(name)?.push(seconds);
    }
  }
  return times;
}

function canDropCache(): boolean {
  if (process.getuid?.() === 0) return true;
  note('only root can drop the page cache: cold runs are left out');
  return false;
}

function dropCache(): void {
  writeFileSync('/proc/sys/vm/drop_caches', '3');
}

/** Seconds from the start of a process to the finding that the tampered manifest makes it give; or nothing. */
async function firstFinding(checker: string, manifest: string): Promise<number | undefined> {
  const process_ = fork(checker, ['/', root, manifest, `${workers}`]);
  const { firstFindingSeconds } = await ask(process_);
  process_.disconnect();
  return firstFindingSeconds;
}

async function ask(process_: ReturnType<typeof fork>): Promise<CheckTiming> {
  const answer = once(process_, 'message');
  process_.send('check');
  const [timing] = (await answer) as [CheckTiming];
  return timing;
}

/** The entries as if one file among those that are read first had other content: the last unit of systemd. */
function withOtherContent(entries: readonly Entry[]): Entry[] {
  const other = entries.findLast(({ path, type }) => type === 'file' && path.startsWith('usr/lib/systemd/'));
  return entries.map((entry) =>
    entry === other ? { ...entry, sha256: parseSha256('0'.repeat(64)) } : entry,
  );
}

/** The entries below the measured root, without attributes, as NetBSD's mtree takes them. */
function below(entries: readonly Entry[]): Entry[] {
  const prefix = root.slice(1);
  return entries
    .filter(({ path }) => prefix === '' || path === prefix || path.startsWith(`${prefix}/`))
    .map((entry) => ({
      ...entry,
      xattrs: new Map(),
      path: (prefix === '' ? entry.path : entry.path.slice(prefix.length + 1)) as BytePath,
    }));
}

function listOf(entries: readonly Entry[]): Buffer {
  return Buffer.concat(
    entries
      .filter(({ type }) => type === 'file')
      .map(({ path }) => Buffer.concat([Buffer.from('/'), pathBytes(path), Buffer.of(0)])),
  );
}

/** The checker as the built program has it: in plain JavaScript, one file and one for its threads. */
async function bundleChecker(): Promise<string> {
  const project = resolve(import.meta.dirname, '..');
  await build({
    entryPoints: {
      checker: join(project, 'bench/verify-checker.ts'),
      'hash-worker': join(project, 'src/host/hash-worker.ts'),
    },
    outdir: directory,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    logLevel: 'warning',
  });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  symlinkSync(join(project, 'node_modules'), join(directory, 'node_modules'));
  return join(directory, 'checker.js');
}

/** Says what is going on, beside the result. */
function note(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}

/**
 * npm run -s bench:verify -- [--root DIR] [--only PHASE,PHASE] [--quick] [--workers N] [--reps N] [--json]
 *
 * How long a full check of a tree takes beside reading the same files into nowhere, which no check can beat,
 * and beside others that hash them. Contenders take turns, so that a slow spell of the machine hits all; each
 * figure is a median. The phases, each of which may be done by itself:
 *
 *   warm    the files are in the page cache
 *   cold    as root: the page cache is dropped before each run
 *   memory  peak memory of `sealborn verify`, the program that goes into images, as at a first boot
 *   peers   AIDE, mtree and debsums, one run each, installed where they are missing; beside one warm run of ours
 *   growth  trees of 10,000 to 500,000 small files, and how time and memory grow; only where it is named
 *
 * With --quick, over a small tree that is made for it: under 20 seconds, to see that all of it works.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { build } from 'esbuild';

import { type BytePath, pathBytes } from '../src/base/byte-path.ts';
import { parseSha256 } from '../src/base/digest.ts';
import { DEFAULT_BUNDLE_DIRECTORY } from '../src/base/measure-rules.ts';
import { measureTree } from '../src/host/measure/measure-tree.ts';
import type { Entry } from '../src/manifest/entry.ts';
import { formatManifest } from '../src/manifest/format.ts';
import { rulesWith } from '../test/support/rules.ts';
import type { CheckTiming } from './verify-checker.ts';
import { AIDE_CHECK, type Contender, cats, checkers, hashers, installMissing } from './verify-contenders.ts';
import { SIZES, growth } from './verify-growth.ts';
import { memory } from './verify-memory.ts';
import { QUICK_FILES, readFlags } from './verify-phases.ts';
import { makeQuickTree } from './verify-quick-tree.ts';
import { type Goal, type Report, type Row, goal, median, merged, print, round } from './verify-report.ts';

/** From the issue on measurement. */
const GOAL_WARM = 1.25;
const GOAL_COLD = 1.15;
const GOAL_AIDE = 4;
const GOAL_FIRST_SECONDS = 1;

const flags = readFlags(process.argv.slice(2));
const { workers, reps, phases } = flags;

const OURS = `sealborn, ${workers} threads`;

const directory = mkdtempSync(join(tmpdir(), 'sealborn-bench-'));
// A signal ends the process without what stands under "finally".
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => process.exit(code));
}
const root = flags.root === '' ? makeQuickTree(join(directory, 'tree'), QUICK_FILES) : flags.root;
const checker = await bundleChecker();
const reports: Report[] = [];
if (phases.has('warm') || phases.has('cold') || phases.has('peers')) reports.push(await bench());
if (phases.has('memory')) reports.push(await memory({ root, directory, note }));
if (phases.has('growth')) {
  reports.push(await growth({ checker, directory, workers, note, sizes: flags.quick ? [500, 2000] : SIZES }));
}
print(merged(reports), flags.json);

async function bench(): Promise<Report> {
  if (phases.has('peers') && !flags.quick) installMissing(note);
  note(`measuring ${root} ...`);
  const rules = rulesWith({ roots: [root] });
  const measured = await measureTree({ root: '/', rules, workers });
  const { files, bytes } = measured;
  const entries = standing(measured.entries);
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
      if (timing.first !== undefined)
        throw new Error(`the tree changed meanwhile (${timing.first}): measure one that nothing writes to`);
      checks.push(timing);
      return timing.seconds;
    },
  };
  const ground = { root, list, directory, workers };
  const floor = cats(ground);
  const warms = phases.has('warm') || phases.has('peers');
  const warm = warms
    ? await takeTurns(
        [ours, ...floor, ...hashers(ground)],
        phases.has('warm') ? reps : 1,
        () => undefined,
        'warm',
      )
    : new Map<string, number[]>();
  const cold =
    phases.has('cold') && canDropCache()
      ? await takeTurns([ours, ...floor], Math.min(3, reps), dropCache, 'cold')
      : new Map<string, number[]>();
  process_.disconnect();
  const first = phases.has('warm') ? await firstFinding(checker, tampered) : undefined;
  const slow = await takeTurns(
    phases.has('peers') ? checkers(ground, relative) : [],
    1,
    () => undefined,
    'slow',
  );

  const best = (times: Map<string, number[]>): number =>
    Math.min(...floor.map(({ name }) => median(times.get(name) ?? [])));
  const mine = median(warm.get(OURS) ?? []);
  const goals: Goal[] = [];
  if (phases.has('warm')) {
    goals.push(goal('full check, warm, beside the cat floor', mine / best(warm), 'x', GOAL_WARM, 'most'));
  }
  if (cold.size > 0) {
    const ratio = median(cold.get(OURS) ?? []) / best(cold);
    goals.push(goal('full check, cold, beside the cold cat floor', ratio, 'x', GOAL_COLD, 'most'));
  }
  const aide = slow.get(AIDE_CHECK);
  if (aide !== undefined) {
    goals.push(goal('times as fast as the check of AIDE', median(aide) / mine, 'x', GOAL_AIDE, 'least'));
  }
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
    gigabytesPerSecond: round(bytes / (warms ? mine : median(cold.get(OURS) ?? [])) / 1e9),
  };
  const tree = { root, files, bytes, entries: total, workers, reps };
  return { bench: 'verify', goals, rows, tree, extra };
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

/**
 * The entries without the directories of the bundle where there are none: a measurement lists them, since the
 * bundle comes into the image after it.
 */
function standing(entries: readonly Entry[]): Entry[] {
  return entries.filter(
    ({ path }) => !`${DEFAULT_BUNDLE_DIRECTORY}/`.startsWith(`/${path}/`) || existsSync(`/${path}`),
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
      'hash-worker': join(project, 'src/host/threads/hash-worker.ts'),
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

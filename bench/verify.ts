/**
 * npm run -s bench:verify -- [--root DIR] [--workers N] [--reps N] [--json]
 *
 * How long a full check of a tree takes beside reading the same files into nowhere, which no check can beat,
 * and beside others that hash them. Warm: the files are in the page cache. Contenders take turns, so that a
 * slow spell of the machine hits all; each figure is a median.
 */
import { execFileSync, fork, spawn } from 'node:child_process';
import { mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { build } from 'esbuild';

import { pathBytes } from '../src/base/byte-path.ts';
import { measureTree } from '../src/host/measure-tree.ts';
import { formatManifest } from '../src/manifest/format.ts';
import type { CheckTiming } from './verify-checker.ts';
import { rulesWith } from '../test/support/rules.ts';

type Row = { name: string; seconds: number; ratio: number; runs: number };
type Goal = { name: string; value: number; unit: string; goal: number; met: boolean };

/** From the issue on measurement: warm, and for 125,000 files. */
const GOAL_FLOOR_RATIO = 1.25;
const GOAL_AIDE_RATIO = 4;
const GOAL_PEAK_MB = 120;
const GOAL_PEAK_FILES = 125_000;

const { values: flags } = parseArgs({
  options: {
    root: { type: 'string', default: '/usr' },
    workers: { type: 'string', default: String(Math.min(8, availableParallelism())) },
    reps: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
});
const root = resolve(flags.root);
const workers = Number(flags.workers);
const reps = Number(flags.reps);
if (!(workers >= 1 && reps >= 1)) throw new Error('--workers and --reps must be whole numbers from 1');

const OURS = `sealborn, ${workers} threads`;
const AIDE_CHECK = 'aide --check';

const directory = mkdtempSync(join(tmpdir(), 'sealborn-bench-'));
try {
  await bench();
} finally {
  rmSync(directory, { recursive: true });
}

async function bench(): Promise<void> {
  note(`measuring ${root} ...`);
  const rules = rulesWith();
  const { entries, files, bytes } = await measureTree({ root, rules, workers });
  const manifestFile = join(directory, 'manifest.mtree');
  writeFileSync(manifestFile, formatManifest(entries));
  const list = join(directory, 'files');
  writeFileSync(
    list,
    Buffer.concat(
      entries
        .filter(({ type }) => type === 'file')
        .map(({ path }) => Buffer.concat([Buffer.from(`${root}/`), pathBytes(path), Buffer.of(0)])),
    ),
  );
  const total = entries.length;
  entries.length = 0;

  const checks: CheckTiming[] = [];
  const checker = fork(await bundleChecker(), [root, manifestFile, `${workers}`]);
  const ours = async (): Promise<number> => {
    const answer = once(checker, 'message');
    checker.send('check');
    const [timing] = (await answer) as [CheckTiming];
    if (timing.findings > 0)
      throw new Error('the tree changed meanwhile: measure one that nothing writes to');
    checks.push(timing);
    return timing.seconds;
  };
  const contenders: { name: string; run: () => Promise<number> }[] = [
    { name: OURS, run: ours },
    ...[...new Set([workers, 8, 32])].map((count) => ({
      name: `cat, ${count} processes`,
      run: () => overFiles(list, count, ['cat']),
    })),
    { name: `sha256sum, ${workers} processes`, run: () => overFiles(list, workers, ['sha256sum', '--']) },
  ];
  if (isInstalled('openssl')) {
    const dgst = ['openssl', 'dgst', '-sha256'];
    contenders.push({
      name: `openssl dgst, ${workers} processes`,
      run: () => overFiles(list, workers, dgst),
    });
  }
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let rep = 0; rep <= reps; rep += 1) {
    note(rep === 0 ? 'warming ...' : `run ${rep} of ${reps} ...`);
    for (const { name, run } of contenders) {
      const seconds = await run();
      // The first round only fills the page cache.
      if (rep > 0) times.get(name)?.push(seconds);
    }
  }
  checker.disconnect();
  for (const [name, seconds] of await aide()) times.set(name, [seconds]);
  report(files, bytes, total, times, checks);
}

function report(
  files: number,
  bytes: number,
  entries: number,
  times: Map<string, number[]>,
  checks: readonly CheckTiming[],
): void {
  const seconds = new Map([...times].map(([name, list]) => [name, median(list)]));
  const floor = Math.min(
    ...[...seconds].filter(([name]) => name.startsWith('cat')).map(([, value]) => value),
  );
  const mine = seconds.get(OURS) ?? Number.NaN;
  const rows: Row[] = [...seconds].map(([name, value]) => ({
    name,
    seconds: round(value),
    ratio: round(value / floor),
    runs: times.get(name)?.length ?? 0,
  }));
  const peak = Math.max(...checks.map(({ peakBytes }) => peakBytes)) / 1e6;
  const goals: Goal[] = [
    goal('full check, warm, beside the cat floor', round(mine / floor), 'x', GOAL_FLOOR_RATIO, 'most'),
    // What a check takes beyond the program itself grows with the files; a small tree says nothing of it.
    goal(
      `peak memory of a check of ${GOAL_PEAK_FILES} files (here ${files})`,
      Math.round(peak),
      'MB',
      GOAL_PEAK_MB,
      'most',
    ),
  ];
  const check = seconds.get(AIDE_CHECK);
  if (check !== undefined) {
    goals.push(
      goal('times as fast as the check of AIDE', round(check / mine), 'x', GOAL_AIDE_RATIO, 'least'),
    );
  }
  const tree = { root, files, bytes, entries, workers, reps };
  const extra = {
    parseSeconds: round(median(checks.map(({ parseSeconds }) => parseSeconds))),
    sweepSeconds: round(median(checks.map(({ sweepSeconds }) => sweepSeconds))),
    gigabytesPerSecond: round(bytes / mine / 1e9),
  };
  if (flags.json) {
    console.log(JSON.stringify({ bench: 'verify', goals, rows, tree, extra }));
    return;
  }
  console.log(`${root}: ${files} files, ${(bytes / 1e9).toFixed(2)} GB, ${entries} entries; warm`);
  for (const row of rows) {
    const runs = row.runs === 1 ? 'one run' : `median of ${row.runs}`;
    console.log(
      `  ${row.name.padEnd(34)} ${row.seconds.toFixed(2).padStart(7)} s  ${row.ratio.toFixed(2).padStart(6)} x floor  (${runs})`,
    );
  }
  console.log(
    `  parsing the manifest ${extra.parseSeconds} s; a sweep ${extra.sweepSeconds} s; ${extra.gigabytesPerSecond} GB/s`,
  );
  for (const { name, value, unit, goal, met } of goals) {
    console.log(`  ${met ? 'met    ' : 'NOT MET'} ${name}: ${value} ${unit}, goal ${goal} ${unit}`);
  }
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

/** Runs a command over the listed files, 256 at a time, so many at once; seconds. */
async function overFiles(list: string, count: number, command: string[]): Promise<number> {
  const started = performance.now();
  const args = ['-0', `-P${count}`, '-n256', ...command];
  const child = spawn('xargs', args, { stdio: [openSync(list, 'r'), 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`${command[0] ?? ''} failed with ${code}`);
  return (performance.now() - started) / 1000;
}

/** Init and check of AIDE with the same attributes and as many workers, once each, where it is installed. */
async function aide(): Promise<[string, number][]> {
  if (!isInstalled('aide')) {
    note('aide is not installed: left out');
    return [];
  }
  const config = join(directory, 'aide.conf');
  const database = join(directory, 'aide.db');
  writeFileSync(
    config,
    [
      `database_in=file:${database}`,
      `database_out=file:${database}`,
      'gzip_dbout=no',
      'report_url=file:/dev/null',
      `num_workers=${workers}`,
      'Same = ftype+p+u+g+n+s+l+acl+xattrs+sha256',
      `${root} Same`,
      '',
    ].join('\n'),
  );
  const times: [string, number][] = [];
  for (const step of ['--init', '--check']) {
    note(`aide ${step} ...`);
    const started = performance.now();
    const child = spawn('aide', [step, '--config', config], { stdio: 'ignore' });
    const [code] = (await once(child, 'exit')) as [number];
    // Codes from 14 up are errors (aide(1)); below that, bits for what was added, removed and changed.
    if (code >= 14) throw new Error(`aide ${step} failed with ${code}`);
    times.push([`aide ${step}`, (performance.now() - started) / 1000]);
  }
  return times;
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function goal(name: string, value: number, unit: string, wanted: number, at: 'most' | 'least'): Goal {
  return { name, value, unit, goal: wanted, met: at === 'most' ? value <= wanted : value >= wanted };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Says what is going on, beside the result. */
function note(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}

/**
 * npm run -s bench:start -- [--files N] [--memory-files N] [--reps N] [--json]
 *
 * The program that goes into images, as it is packaged: how long it takes to start, to listen, and to the first
 * permitted decision on a whole image; and what both halves hold in memory. The images are made here, of files
 * of 4,000 bytes in directories of 500, and lie in the page cache; a first boot reads from the disk besides.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { requestUnix } from '../src/host/net/unix-http.ts';
import { project } from '../scripts/bundle.ts';
import { thisArchitecture } from '../scripts/package/architecture.ts';
import { makeExecutable } from '../scripts/package/single-executable.ts';

const GOAL_COLD_START_MS = 100;
const GOAL_MEMORY_MB = 160;
const FILE_BYTES = 4000;
const FILES_A_DIRECTORY = 500;
const PATIENCE_MS = 120_000;

type Row = { name: string; value: number; unit: string };

const { values: flags } = parseArgs({
  options: {
    files: { type: 'string', default: '50000' },
    'memory-files': { type: 'string', default: '125000' },
    reps: { type: 'string', default: '15' },
    json: { type: 'boolean', default: false },
  },
});
const place = mkdtempSync(join(tmpdir(), 'sealborn-start-'));
const at = (name: string): string => join(place, name);
const program = at('program/sealborn');
const children = new Set<ChildProcess>();

try {
  await bench();
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(place, { recursive: true, force: true });
}

async function bench(): Promise<void> {
  note('building the program ...');
  const architecture = thisArchitecture();
  await makeExecutable({ entry: 'src/main-host.ts', architecture, out: program, measures: true });
  // As after a boot, when nobody wrote the file a moment ago: out of the page cache, where it would lie in large pages
  // that are mapped whole, and are counted so.
  execFileSync('dd', [`of=${program}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
  preparePolicy();

  const coldStart = median(times(Number(flags.reps), () => timeOf(['--version'])));
  const first = await timeToDecision(Number(flags.files));
  const memory = await memoryOf(Number(flags['memory-files']));
  const rows: Row[] = [
    { name: 'cold start: sealborn --version', value: coldStart, unit: 'ms' },
    { name: 'serve: start to listening', value: first.listening, unit: 'ms' },
    {
      name: `both halves: start to first permitted decision, ${flags.files} files`,
      value: first.decision,
      unit: 'ms',
    },
    { name: `measure: memory (PSS), ${flags['memory-files']} files`, value: memory.measure, unit: 'MB' },
    { name: `serve: memory (PSS), ${flags['memory-files']} files`, value: memory.serve, unit: 'MB' },
    { name: 'both halves: of that, not pages of the executable', value: memory.own, unit: 'MB' },
    { name: 'both halves: most memory (PSS) at any time', value: memory.peak, unit: 'MB' },
  ];
  const goals = [
    goal('cold start of the program', coldStart, 'ms', GOAL_COLD_START_MS),
    goal(
      `memory of both halves (PSS), ${flags['memory-files']} files`,
      round(memory.measure + memory.serve),
      'MB',
      GOAL_MEMORY_MB,
    ),
  ];
  if (flags.json) {
    console.log(JSON.stringify({ bench: 'start', goals, rows }));
    return;
  }
  for (const { name, value, unit } of rows) {
    console.log(`  ${name.padEnd(64)} ${value.toFixed(0).padStart(6)} ${unit}`);
  }
  for (const { name, value, unit, goal: wanted, met } of goals) {
    console.log(`  ${met ? 'met    ' : 'NOT MET'} ${name}: ${value} ${unit}, goal ${wanted} ${unit}`);
  }
}

/** Milliseconds from the start of both halves to a listening port, and to the first decision that permits. */
async function timeToDecision(files: number): Promise<{ listening: number; decision: number }> {
  const image = sealedImage(files);
  const started = performance.now();
  const both = start(image, 'run');
  const port = await both.port;
  const listening = performance.now() - started;
  if ((await fetch(`http://127.0.0.1:${port}/livez`)).status !== 200) throw new Error('not alive');
  await until(() => isPermitted(image));
  const decision = performance.now() - started;
  await both.stop();
  rmSync(image, { recursive: true });
  return { listening: round(listening), decision: round(decision) };
}

async function memoryOf(
  files: number,
): Promise<{ measure: number; serve: number; own: number; peak: number }> {
  const image = sealedImage(files);
  const halves = [start(image, 'measure'), start(image, 'serve')];
  const pss = (): { all: number; own: number }[] => halves.map(({ pid }) => pssOf(pid));
  let peak = 0;
  await until(async () => {
    peak = Math.max(
      peak,
      pss().reduce((sum, { all }) => sum + all, 0),
    );
    return isPermitted(image);
  });
  // Sweeps come each second here; what a few of them leave behind is what the halves live with.
  await sleep(8000);
  const [measure = { all: 0, own: 0 }, serve = { all: 0, own: 0 }] = pss();
  await Promise.all(halves.map(({ stop }) => stop()));
  rmSync(image, { recursive: true });
  return {
    measure: round(measure.all),
    serve: round(serve.all),
    own: round(measure.own + serve.own),
    peak: round(Math.max(peak, measure.all + serve.all)),
  };
}

/** Makes an image, seals it with the pipeline's program as an operator would, and writes settings beside it. */
function sealedImage(files: number): string {
  note(`making and sealing an image of ${files} files ...`);
  const image = at(`image-${files}`);
  const root = join(image, 'root');
  const bundle = join(root, 'usr/share/sealborn/bundle');
  const trust = join(root, 'usr/share/sealborn/trust.yaml');
  mkdirSync(join(root, 'usr/share/sealborn'), { recursive: true });
  for (let i = 0; i < files; i += 1) {
    const directory = join(root, `usr/lib/package-${Math.floor(i / FILES_A_DIRECTORY)}`);
    if (i % FILES_A_DIRECTORY === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${i}.so`), Buffer.alloc(FILE_BYTES, `content of ${i} `));
  }
  const key = join(image, 'release');
  pipeline('key', 'new', key);
  pipeline('trust', 'new', trust, '--environment', 'production', '--key', `${key}.pub`);
  pipeline('build', at('policy'), '--root', root, '--environment', 'production', '--out', bundle);
  pipeline('sign', bundle, '--key', `${key}.key`);
  writeFileSync(
    join(image, 'agent.yaml'),
    [
      `root: ${root}`,
      `bundle: ${bundle}`,
      `trust: ${trust}`,
      `runDirectory: ${join(image, 'run')}`,
      `stateDirectory: ${join(image, 'state')}`,
      'sweepSeconds: 1',
      'health: {listen: "127.0.0.1:0"}',
    ].join('\n'),
  );
  return image;
}

type Half = { pid: number; port: Promise<number>; stop: () => Promise<void> };

function start(image: string, verb: string): Half {
  const child = spawn(program, [verb, '--config', join(image, 'agent.yaml')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {},
  });
  children.add(child);
  const ended = once(child, 'exit');
  const { promise, resolve } = Promise.withResolvers<number>();
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
    const port = /"healthPort":(\d+)/.exec(text)?.[1];
    if (port !== undefined) resolve(Number(port));
  });
  return {
    pid: child.pid ?? 0,
    port: promise,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
      children.delete(child);
    },
  };
}

async function isPermitted(image: string): Promise<boolean> {
  const body = JSON.stringify({
    subject: { type: 'ServiceAccount', id: 'checkout-web' },
    action: { name: 'CreatePayment' },
    resource: { type: 'Ledger', id: 'main' },
    context: { amount: 1999 },
  });
  const headers = { 'content-type': 'application/json' };
  try {
    const answer = await requestUnix(
      join(image, 'run/decide.sock'),
      { method: 'POST', path: '/access/v1/evaluation', headers, body },
      5000,
    );
    return (JSON.parse(String(answer.body)) as { decision?: boolean }).decision === true;
  } catch {
    return false; // it is not there yet
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const started = performance.now();
  while (!(await isSo())) {
    if (performance.now() - started > PATIENCE_MS) throw new Error('the agent permits nothing');
    await sleep(10);
  }
}

/**
 * Proportional set size: shared pages count in part, so that halves can be added (proc_pid_smaps(5)); MB. `own` is
 * what only swapping could take away; the rest are pages of the executable in the page cache, as many as the kernel
 * likes to map at once.
 */
function pssOf(pid: number): { all: number; own: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const megabytes = (name: string): number =>
    (Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1]) * 1024) / 1e6;
  return { all: megabytes('Pss'), own: megabytes('Pss_Anon') };
}

function preparePolicy(): void {
  execFileSync(process.execPath, [project('scripts/build.ts')], { stdio: 'ignore' });
  cpSync(project('examples/payments'), at('policy'), { recursive: true });
  const author = ['-c', 'user.name=Bench', '-c', 'user.email=bench@example.org'];
  for (const args of [
    ['init', '-q'],
    ['add', '.'],
    [...author, 'commit', '-q', '-m', 'Access rules'],
  ]) {
    execFileSync('git', ['-C', at('policy'), ...args]);
  }
}

function pipeline(...args: string[]): void {
  execFileSync(process.execPath, [project('dist/sealborn.js'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

function timeOf(args: string[]): number {
  const started = performance.now();
  if (spawnSync(program, args, { env: {} }).status !== 0) throw new Error(`${args.join(' ')} failed`);
  return performance.now() - started;
}

function times(count: number, measure: () => number): number[] {
  return Array.from({ length: count }, measure);
}

function median(values: readonly number[]): number {
  return round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN);
}

function goal(
  name: string,
  value: number,
  unit: string,
  wanted: number,
): Row & { goal: number; met: boolean } {
  return { name, value, unit, goal: wanted, met: value <= wanted };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Says what is going on, beside the result. */
function note(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}

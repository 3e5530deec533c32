/**
 * npm run -s bench:drift -- [--files N] [--reps N] [--json]
 *
 * From a change of a measured file to 503 on the health port: both halves as processes, the real port, asked every
 * two milliseconds. Each change is made to an agent that was just started at its default settings and whose watches
 * stand; it is undone afterwards. One change is of a kind that no watch sees: only the sweep finds it.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { type RunningAgent, type SealedTree, sealTree, startAgent } from './sealed-agent.ts';

/** From the issue on measurement. */
const GOAL_MEDIAN_MS = 200;
const GOAL_UNWATCHED_MS = 65_000;

/** The watches stand and everything was swept once; a little later, nothing goes on any more. */
const SETTLE_MS = 1000;

type Change = { name: string; make: (root: string) => () => void };

const { values: flags } = parseArgs({
  options: {
    files: { type: 'string', default: '5000' },
    reps: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const files = Number(flags.files);
const reps = Number(flags.reps);
if (!(files >= 100 && reps >= 1)) throw new Error('--files from 100, --reps from 1');

const PROGRAM = 'usr/bin/program';
const LARGE = 'usr/lib/large.so';
const CONTENT: Readonly<Record<string, Buffer>> = {
  [PROGRAM]: Buffer.alloc(200_000, 'program'),
  [LARGE]: Buffer.alloc(200_000_000, 'large'),
};

/** Changes a file by `how`, and gives what puts it back. */
function restoring(root: string, path: string, how: (file: string) => void): () => void {
  how(join(root, path));
  return () => writeFileSync(join(root, path), CONTENT[path] ?? '');
}

const WATCHED: Change[] = [
  { name: 'a byte written in place', make: (root) => restoring(root, PROGRAM, (file) => writeByte(file)) },
  { name: 'a byte appended', make: (root) => restoring(root, PROGRAM, (file) => appendFileSync(file, 'x')) },
  { name: 'a file truncated', make: (root) => restoring(root, PROGRAM, (file) => truncateSync(file, 10)) },
  {
    name: 'a byte written, times put back',
    make: (root) =>
      restoring(root, PROGRAM, (file) => {
        const { atime, mtime } = statSync(file);
        writeByte(file);
        utimesSync(file, atime, mtime);
      }),
  },
  { name: 'a byte of a file of 200 MB', make: (root) => restoring(root, LARGE, (file) => writeByte(file)) },
  {
    name: 'a set-user-id bit',
    make: (root) => {
      chmodSync(join(root, PROGRAM), 0o4755);
      return () => chmodSync(join(root, PROGRAM), 0o755);
    },
  },
  {
    name: 'a mode of a directory',
    make: (root) => {
      chmodSync(join(root, 'usr/bin'), 0o777);
      return () => chmodSync(join(root, 'usr/bin'), 0o755);
    },
  },
  {
    name: 'a new file',
    make: (root) => {
      writeFileSync(join(root, 'usr/bin/new'), 'x');
      return () => unlinkSync(join(root, 'usr/bin/new'));
    },
  },
  {
    name: 'a new directory',
    make: (root) => {
      mkdirSync(join(root, 'usr/lib/new'));
      return () => rmSync(join(root, 'usr/lib/new'), { recursive: true });
    },
  },
  {
    name: 'a file removed',
    make: (root) => {
      renameSync(join(root, PROGRAM), join(root, 'tmp/away'));
      return () => renameSync(join(root, 'tmp/away'), join(root, PROGRAM));
    },
  },
  {
    name: 'a directory moved away',
    make: (root) => {
      renameSync(join(root, 'usr/bin'), join(root, 'tmp/bin'));
      return () => renameSync(join(root, 'tmp/bin'), join(root, 'usr/bin'));
    },
  },
  {
    name: 'a link led elsewhere',
    make: (root) => {
      const link = join(root, 'usr/bin/link');
      unlinkSync(link);
      symlinkSync('/tmp/evil', link);
      return () => {
        unlinkSync(link);
        symlinkSync('program', link);
      };
    },
  },
];
/** A second name in a directory that nobody watches: no event reaches the file's own directory. */
const UNWATCHED: Change = {
  name: 'a hard link made elsewhere (no watch sees it)',
  make: (root) => {
    linkSync(join(root, PROGRAM), join(root, 'tmp/second-name'));
    return () => unlinkSync(join(root, 'tmp/second-name'));
  },
};

const place = mkdtempSync(join(tmpdir(), 'sealborn-drift-'));
// After the agents were ended, which stands first (sealed-agent.ts); a signal comes here too.
process.once('exit', () => rmSync(place, { recursive: true, force: true, maxRetries: 5 }));
await bench();

async function bench(): Promise<void> {
  const root = join(place, 'image');
  makeImage(root);
  const tree = sealTree(root, place, ['  mutable: [/tmp]']);
  const rows: { name: string; median: number; max: number; runs: number }[] = [];
  const all: number[] = [];
  for (const change of WATCHED) {
    const times: number[] = [];
    for (let rep = 0; rep < reps; rep += 1) times.push(await timeToNo(tree, root, change));
    all.push(...times);
    rows.push({ name: change.name, median: median(times), max: round(Math.max(...times)), runs: reps });
  }
  const unwatched = round(await timeToNo(tree, root, UNWATCHED));
  rows.push({ name: UNWATCHED.name, median: unwatched, max: unwatched, runs: 1 });
  const goals = [
    goal('median from a write to health 503', median(all), GOAL_MEDIAN_MS),
    goal('what no watch sees', unwatched, GOAL_UNWATCHED_MS),
  ];
  if (flags.json) {
    console.log(JSON.stringify({ bench: 'drift', goals, rows, files }));
    return;
  }
  console.log(`milliseconds from a change to health 503; an image of ${files} files`);
  for (const { name, median, max, runs } of rows) {
    const words = `${median.toFixed(1).padStart(9)} median ${max.toFixed(1).padStart(9)} most of ${runs}`;
    console.log(`  ${name.padEnd(48)} ${words}`);
  }
  for (const { name, value, unit, goal: wanted, met } of goals) {
    console.log(`  ${met ? 'met    ' : 'NOT MET'} ${name}: ${value} ${unit}, goal ${wanted} ${unit}`);
  }
}

function makeImage(root: string): void {
  for (const directory of ['usr/bin', 'usr/lib', 'tmp'])
    mkdirSync(join(root, directory), { recursive: true });
  writeFileSync(join(root, PROGRAM), CONTENT[PROGRAM] ?? '');
  chmodSync(join(root, PROGRAM), 0o755);
  chmodSync(join(root, 'usr/bin'), 0o755);
  symlinkSync('program', join(root, 'usr/bin/link'));
  writeFileSync(join(root, LARGE), CONTENT[LARGE] ?? '');
  for (let i = 0; i < files; i += 1) {
    const directory = join(root, `usr/lib/package-${Math.floor(i / 20)}`);
    if (i % 20 === 0) mkdirSync(directory);
    writeFileSync(join(directory, `file-${i}`), `content of ${i}`);
  }
  execFileSync('sync', ['-f', root]);
}

async function timeToNo(tree: SealedTree, root: string, { name, make }: Change): Promise<number> {
  const agent = await startAgent(tree);
  const connection = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    // The paced sweep begins anew with its first slice; a change is not to be found by that.
    await sleep(SETTLE_MS);
    if ((await healthOf(agent, connection)) !== 200) throw new Error('the agent is not healthy');
    const started = performance.now();
    const undo = make(root);
    try {
      while ((await healthOf(agent, connection)) !== 503) {
        if (performance.now() - started > 2 * GOAL_UNWATCHED_MS) throw new Error(`not found: ${name}`);
        await sleep(2);
      }
      return performance.now() - started;
    } finally {
      undo();
    }
  } finally {
    connection.destroy();
    await agent.stop();
  }
}

function healthOf({ healthPort }: RunningAgent, agent: Agent): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request({ host: '127.0.0.1', port: healthPort, path: '/healthz', agent }, (response) => {
    response.resume().on('end', () => resolve(response.statusCode));
  })
    .on('error', reject)
    .end();
  return promise;
}

function writeByte(path: string): void {
  const file = openSync(path, 'r+');
  writeSync(file, 'X', 100);
  closeSync(file);
}

function median(values: readonly number[]): number {
  return round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN);
}

function goal(
  name: string,
  value: number,
  wanted: number,
): { name: string; value: number; unit: string; goal: number; met: boolean } {
  return { name, value, unit: 'ms', goal: wanted, met: value <= wanted };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** A tree sealed with the pipeline's own program, and the agent that watches it: what benches of the agent share. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type Status, statusShape } from '../src/attestation/status.ts';
import { parseJson } from '../src/base/json.ts';
import { readShape } from '../src/base/shape.ts';
import { requestUnix } from '../src/host/net/unix-http.ts';

const project = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const PATIENCE_MS = 300_000;

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
// A signal that nobody handles ends Node.js without 'exit': then the agents would go on.
for (const [signal, number] of [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.once(signal, () => process.exit(128 + number));
}

export type SealedTree = {
  settingsFile: string;
  runDirectory: string;
};

/**
 * Builds the program, and with it a signed release of the tree at `root`: everything in it, with the rules in
 * `measure` (lines of YAML) besides. Bundle, keys and settings are written to `place`.
 */
export function sealTree(root: string, place: string, measure: string[] = []): SealedTree {
  execFileSync(process.execPath, [project('scripts/build.ts')], { stdio: 'ignore' });
  const at = (name: string): string => join(place, name);
  cpSync(project('examples/payments'), at('policy'), { recursive: true });
  const file = at('policy/sealborn.yaml');
  const rules = ['measure:', '  roots: [/]', ...measure, '', ''].join('\n');
  const written = readFileSync(file, 'utf8');
  const changed = written.replace(/^measure:\n(?:[ #].*\n)+\n/m, rules);
  if (changed === written) throw new Error('the example has no section "measure"');
  writeFileSync(file, changed);
  const author = ['-c', 'user.name=Bench', '-c', 'user.email=bench@example.org'];
  for (const args of [
    ['init', '-q'],
    ['add', '.'],
    [...author, 'commit', '-q', '-m', 'Access rules'],
  ]) {
    execFileSync('git', ['-C', at('policy'), ...args]);
  }
  const sealborn = (...args: string[]): void => {
    execFileSync(process.execPath, [project('dist/sealborn.js'), ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  };
  sealborn('key', 'new', at('release'));
  sealborn('trust', 'new', at('trust.yaml'), '--environment', 'production', '--key', at('release.pub'));
  sealborn('build', at('policy'), '--root', root, '--environment', 'production', '--out', at('bundle'));
  sealborn('sign', at('bundle'), '--key', at('release.key'));
  const lines = [
    `root: ${root}`,
    `bundle: ${at('bundle')}`,
    `trust: ${at('trust.yaml')}`,
    `runDirectory: ${at('run')}`,
    `stateDirectory: ${at('state')}`,
    `logDirectory: ${at('log')}`,
    'health: {listen: "127.0.0.1:0"}',
  ];
  writeFileSync(at('agent.yaml'), `${lines.join('\n')}\n`);
  return { settingsFile: at('agent.yaml'), runDirectory: at('run') };
}

export type RunningAgent = {
  healthPort: number;
  /** Process ids of the two halves. */
  measure: number;
  serve: number;
  status: () => Promise<Status>;
  stop: () => Promise<void>;
};

/** Starts both halves as a new boot does, and waits until they are trusted and their watches stand. */
export async function startAgent({ settingsFile, runDirectory }: SealedTree): Promise<RunningAgent> {
  rmSync(join(runDirectory, 'drift'), { force: true });
  const lines: Record<string, unknown>[] = [];
  const halves = ['serve', 'measure'].map((verb) => startHalf(verb, settingsFile, lines));
  const [serve, measure] = halves;
  if (serve === undefined || measure === undefined) throw new Error('no halves');
  const socket = join(runDirectory, 'decide.sock');
  const status = async (): Promise<Status> => {
    const { body } = await requestUnix(socket, { method: 'GET', path: '/status' }, 5000);
    return readShape(statusShape, parseJson(body, 'status', { maxBytes: 4 * 1024 * 1024 }), 'status');
  };
  const stop = async (): Promise<void> => {
    for (const half of halves) half.child.kill('SIGTERM');
    await Promise.all(halves.map(({ ended }) => ended));
  };
  try {
    await until('trust and watches', async () => {
      if (halves.some(({ child }) => child.exitCode !== null)) throw new Error('a half ended by itself');
      const { state, coverage } = await status();
      if (state === 'drifted' || state === 'refused') throw new Error(`the agent is ${state}`);
      return state === 'trusted' && coverage?.watch !== undefined && (coverage.sweep?.immediate ?? 0) > 0;
    });
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const healthPort = Number(lines.find(({ code }) => code === 'serving')?.['healthPort']);
  return { healthPort, measure: measure.child.pid ?? 0, serve: serve.child.pid ?? 0, status, stop };
}

function startHalf(
  verb: string,
  settingsFile: string,
  lines: Record<string, unknown>[],
): { child: ChildProcess; ended: Promise<unknown> } {
  const child = spawn(process.execPath, [project('dist/sealborn.js'), verb, '--config', settingsFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {},
  });
  children.add(child);
  let rest = '';
  child.stdout.on('data', (chunk) => {
    const parts = `${rest}${String(chunk)}`.split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) lines.push(JSON.parse(line) as Record<string, unknown>);
  });
  return { child, ended: once(child, 'exit').finally(() => children.delete(child)) };
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  let last: unknown;
  for (;;) {
    try {
      if (await isSo()) return;
    } catch (thrown) {
      // The socket is not there yet; what else goes wrong ends the wait.
      if (!(thrown instanceof Error && 'code' in thrown)) throw thrown;
      last = thrown;
    }
    if (performance.now() > end) throw new Error(`waited in vain for ${what}: ${String(last)}`);
    await sleep(20);
  }
}

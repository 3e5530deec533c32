import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const project = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

export type BenchAgent = {
  decideSocket: string;
  linesSocket: string;
  /** The process that answers. */
  pid: number;
  stop: () => Promise<void>;
};

/**
 * Seals a small image with the policy of examples/payments as the pipeline would, and starts the built program on
 * it: both halves as processes, the decision log on.
 */
export async function startBenchAgent(place: string, nodeFlags: readonly string[] = []): Promise<BenchAgent> {
  const at = (name: string): string => join(place, name);
  const sealborn = (...args: string[]): void =>
    void execFileSync(process.execPath, [project('dist/sealborn.js'), ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  const share = at('image/usr/share/sealborn');
  for (const directory of [share, at('image/etc'), at('run'), at('state')])
    mkdirSync(directory, { recursive: true });
  writeFileSync(at('image/etc/app.conf'), 'setting: 1\n');
  cpSync(project('examples/payments'), at('policy'), { recursive: true });
  const git = (...args: string[]): void =>
    void execFileSync(
      'git',
      ['-C', at('policy'), '-c', 'user.name=Bench', '-c', 'user.email=bench@example.org', ...args],
      { stdio: 'ignore' },
    );
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'Access rules');
  sealborn('key', 'new', at('release'));
  sealborn(
    'trust',
    'new',
    join(share, 'trust.yaml'),
    '--environment',
    'production',
    '--key',
    at('release.pub'),
  );
  sealborn(
    'build',
    at('policy'),
    '--root',
    at('image'),
    '--environment',
    'production',
    '--out',
    join(share, 'bundle'),
  );
  sealborn('sign', join(share, 'bundle'), '--key', at('release.key'));
  writeFileSync(
    at('agent.yaml'),
    [
      `root: ${at('image')}`,
      `bundle: ${join(share, 'bundle')}`,
      `trust: ${join(share, 'trust.yaml')}`,
      `runDirectory: ${at('run')}`,
      `stateDirectory: ${at('state')}`,
      `logDirectory: ${at('log')}`,
      'health: {listen: "127.0.0.1:0"}',
    ].join('\n'),
  );
  const children: ChildProcess[] = [];
  const start = (verb: string, flags: readonly string[]): ChildProcess => {
    const child = spawn(
      process.execPath,
      [...flags, project('dist/sealborn.js'), verb, '--config', at('agent.yaml')],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        cwd: place,
        env: { PATH: process.env['PATH'] },
      },
    );
    children.push(child);
    return child;
  };
  start('measure', []);
  const serve = start('serve', nodeFlags);
  const stop = async (): Promise<void> => {
    for (const child of children) {
      if (child.exitCode !== null) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  };
  const decideSocket = at('run/decide.sock');
  try {
    await untilTrusted(decideSocket, children);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return { decideSocket, linesSocket: at('run/decide.ndjson.sock'), pid: serve.pid ?? 0, stop };
}

async function untilTrusted(socket: string, children: readonly ChildProcess[]): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (children.some(({ exitCode }) => exitCode !== null)) throw new Error('the agent did not start');
    const look = ['status', '--socket', socket];
    if (spawnSync(process.execPath, [project('dist/sealborn.js'), ...look]).status === 0) return;
    await sleep(200);
  }
  throw new Error('the agent did not come to trust its image');
}

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, onTestFinished } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import type { Finding } from '../../src/base/finding.ts';
import type { MeasureRules } from '../../src/base/measure-rules.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { type SealedMachine, health, sealMachine, untilState } from '../agent/sealed-machine.ts';
import { until } from '../agent/until.ts';
import { PREDICATE } from '../bundle/bundle-fixture.ts';
import { needs } from '../support/needs.ts';
import { NO_MOUNTS } from './sealed-image.ts';

const asRoot = needs(NO_MOUNTS);
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };

async function sealWith(change: Partial<MeasureRules> = {}): Promise<SealedMachine> {
  // What these tests find is found by the mount tables alone, never by a sweep.
  return sealMachine({ sweepSeconds: 3600, predicate: { measure: { ...PREDICATE.measure, ...change } } });
}

/** Mounts, and takes it all away when the test ends, whatever lies over it by then. */
function mount(target: string, ...args: string[]): void {
  execFileSync('mount', [...args, target]);
  onTestFinished(() => void execFileSync('umount', ['-l', target]));
}

/** Waits for a finding; a sweep may find more, and sooner, of what a mount hides. */
async function untilDrift(socket: string, kind: string, path: string): Promise<Finding> {
  const { drift } = await until(`${kind} ${path}`, async () => {
    const said = (await untilState(socket, 'drifted')) as { drift: Finding[] };
    return said.drift.some((found) => found.kind === kind && found.path === path) && said;
  });
  return drift.find((found) => found.kind === kind && found.path === path) as Finding;
}

/** A running agent of which health is 200. */
async function trustedAgent(
  machine: SealedMachine,
): Promise<{ untilFound: (kind: string, path: string) => Promise<void> }> {
  const settings = machine.settings();
  const server = await startServer(settings, common);
  onTestFinished(() => server.close());
  const measurer = await startMeasurer(settings, common);
  onTestFinished(() => measurer.close());
  await untilState(server.decideSocket, 'trusted');
  expect(await health(server.healthPort)).toMatchObject({ status: 200 });
  return {
    untilFound: async (kind, path) => {
      await untilDrift(server.decideSocket, kind, path);
      expect(await health(server.healthPort)).toMatchObject({ status: 503 });
    },
  };
}

describe('attack table: mounts, found by the running agent', () => {
  asRoot('5: a bind mount over a file, from another file system: overmounted', async () => {
    const machine = await sealWith();
    const other = join(machine.directory, 'other');
    mkdirSync(other);
    mount(other, '-t', 'tmpfs', 'tmpfs');
    copyFileSync(machine.file('usr/bin/app'), join(other, 'app'));
    const agent = await trustedAgent(machine);
    mount(machine.file('usr/bin/app'), '--bind', join(other, 'app'));
    await agent.untilFound('overmounted', '/usr/bin/app');
  });

  asRoot('6: a bind mount over a file, same file system, identical content: overmounted', async () => {
    const machine = await sealWith();
    const copy = join(machine.directory, 'copy');
    execFileSync('cp', ['-a', machine.file('usr/bin/app'), copy]);
    const agent = await trustedAgent(machine);
    mount(machine.file('usr/bin/app'), '--bind', copy);
    await agent.untilFound('overmounted', '/usr/bin/app');
  });

  asRoot('7: tmpfs over a measured directory: overmounted', async () => {
    const machine = await sealWith();
    const agent = await trustedAgent(machine);
    mount(machine.file('etc'), '-t', 'tmpfs', 'tmpfs');
    await agent.untilFound('overmounted', '/etc');
  });

  asRoot('7: overlayfs over a measured directory, with nothing in it changed: overmounted', async () => {
    const machine = await sealWith();
    const lower = join(machine.directory, 'lower');
    mkdirSync(lower);
    const agent = await trustedAgent(machine);
    mount(
      machine.file('usr'),
      '-t',
      'overlay',
      '-o',
      `ro,lowerdir=${machine.file('usr')}:${lower}`,
      'overlay',
    );
    await agent.untilFound('overmounted', '/usr');
  });

  asRoot('7: a mount over the whole tree: overmounted', async () => {
    const machine = await sealWith();
    const agent = await trustedAgent(machine);
    mount(machine.root, '-t', 'tmpfs', 'tmpfs');
    await agent.untilFound('overmounted', '/');
  });

  asRoot.each([
    ['ro to rw', 'remount,bind,rw,nosuid'],
    ['nosuid dropped', 'remount,bind,ro,suid'],
  ])('8: a measured mount remounted, %s: mount-options', async (_, options) => {
    const usr = { path: '/usr', types: [], require: [], forbid: [], optional: false };
    const machine = await sealWith({ mounts: [usr] });
    const target = machine.file('usr');
    mount(target, '--bind', target);
    execFileSync('mount', ['-o', 'remount,bind,ro,nosuid', target]);
    const agent = await trustedAgent(machine);
    execFileSync('mount', ['-o', options, target]);
    await agent.untilFound('mount-options', '/usr');
  });

  asRoot('8: a mount in a mutable area that loses what the release demands: mount-options', async () => {
    const tmp = { path: '/tmp', types: ['tmpfs'], require: ['noexec' as const], forbid: [], optional: false };
    const machine = await sealWith({ mounts: [tmp] });
    mount(machine.file('tmp'), '-t', 'tmpfs', '-o', 'nosuid,noexec', 'tmpfs');
    const agent = await trustedAgent(machine);
    execFileSync('mount', ['-o', 'remount,nosuid,exec', machine.file('tmp')]);
    await agent.untilFound('mount-options', '/tmp');
  });
});

describe("attack table: the agent's mount namespace", () => {
  /** The agent as a process in a mount namespace of its own, where `before` has run. */
  async function agentApart(machine: SealedMachine, before: string): Promise<string> {
    const config = await machine.settingsFile();
    const script = `set -e; cd "$1"; ${before}; exec "$2" "$3" run --config "$4"`;
    const words = [script, 'sh', machine.directory, process.execPath, MAIN, config];
    const child = spawn('unshare', ['-m', 'sh', '-c', ...words], {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'] },
    });
    const ended = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGTERM');
      await ended;
    });
    return `${machine.settings().runDirectory}/decide.sock`;
  }

  asRoot('44: a file that the agent sees another way than PID 1: overmounted', async () => {
    const machine = await sealWith();
    const socket = await agentApart(
      machine,
      'cp -a image/usr/bin/app copy; mount --bind copy image/usr/bin/app',
    );
    expect(await untilDrift(socket, 'overmounted', '/usr/bin/app')).toMatchObject({
      expected: expect.stringContaining('PID 1') as string,
    });
  });

  asRoot('44: a mount that PID 1 sees and the agent does not: overmounted', async () => {
    const machine = await sealWith();
    const socket = await agentApart(machine, ':');
    await untilState(socket, 'trusted');
    writeFileSync(join(machine.directory, 'evil'), 'evil');
    mount(machine.file('etc/app.conf'), '--bind', join(machine.directory, 'evil'));
    await untilDrift(socket, 'overmounted', '/etc/app.conf');
  });

  asRoot('44: a namespace that only makes the same tree read-only, as a unit may have: trusted', async () => {
    const machine = await sealWith();
    const before = 'mount --bind image/usr image/usr; mount -o remount,bind,ro image/usr';
    const socket = await agentApart(machine, before);
    const seen = { view: 'init', shown: [{ path: '/' }] };
    expect(await untilState(socket, 'trusted')).toMatchObject({ driftTotal: 0, coverage: { mounts: seen } });
  });
});

describe('attack table: a mount table that lies', () => {
  /** What `sealborn verify` finds in a namespace where something was mounted and another procfs shows it not. */
  function verifyUnder(machine: SealedMachine, mounting: string): { kind: string; path: string }[] {
    const script =
      'set -e; cd "$1"; mkdir -p fake/self proc; cp /proc/self/mountinfo fake/self/mountinfo; ' +
      // All else of procfs stays as it is.
      `mount --bind /proc proc; ln -s "$1/proc/self/fd" fake/self/fd; ${mounting}; ` +
      'mount --bind fake /proc; shift; exec "$@"';
    const verify = ['verify', machine.bundle, '--trust', machine.trust, '--root', machine.root, '--json'];
    const words = ['-m', 'sh', '-c', script, 'sh', machine.directory, process.execPath, MAIN, ...verify];
    const { stdout } = spawnSync('unshare', words, { encoding: 'utf8' });
    return (JSON.parse(stdout) as { drift: { kind: string; path: string }[] }).drift;
  }

  asRoot.each([
    ['6: a bind mount of identical content over a file', 'usr/bin/app', 'overmounted /usr/bin/app'],
    ['7: a bind mount of identical content over a directory', 'etc', 'overmounted /etc'],
  ])('%s, in no table: overmounted, by what the kernel says of the inode', async (_, path, finding) => {
    const machine = await sealWith();
    const mounting = `cp -a image/${path} copy; mount --bind copy image/${path}`;
    const found = verifyUnder(machine, mounting);
    expect(found.map((one) => `${one.kind} ${one.path}`)).toEqual([finding]);
    expect(found).toMatchObject([{ actual: expect.stringContaining('the kernel names mount') as string }]);
  });

  asRoot('6: the same table where nothing was mounted: clean', async () => {
    expect(verifyUnder(await sealWith(), ':')).toEqual([]);
  });
});

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { startMeasuring } from '../agent/start-measuring.ts';
import type { MountRule } from '../../src/base/mount-rules.ts';
import { scanBounds } from '../../src/host/measure/bounds-scan.ts';
import { createMountWatch } from '../../src/host/mounts/mount-watch.ts';
import { sealMachine } from '../agent/sealed-machine.ts';
import { until } from '../agent/until.ts';
import { needs } from '../support/needs.ts';
import { rulesWith } from '../support/rules.ts';
import { NO_MOUNTS, NO_ROOT, temporaryDirectory, writeTo } from './sealed-image.ts';
import { NET_RAW_CAPABILITY, setXattr } from './syscalls.ts';

const asRoot = needs(NO_ROOT);
const withMounts = needs(NO_MOUNTS);

type Change = Parameters<typeof rulesWith>[0];

/** What is out of bounds in a tree, as `kind path`, and what was found there. */
async function beyond(root: string, change: Change = { mutable: ['/var'] }): Promise<string[]> {
  const at = '2026-11-23T12:00:00Z';
  const look = createMountWatch({ root, rules: rulesWith(change), isRunning: true })(at);
  if (look === undefined) throw new Error('the first look saw nothing');
  const { findings } = await scanBounds({ root, plan: look.plan, at });
  return [...look.findings, ...findings].map(({ kind, path, actual }) => `${kind} ${path} ${actual}`.trim());
}

function area(): string {
  const root = temporaryDirectory();
  writeTo(root, 'var/lib/app/data', 'data');
  writeTo(root, 'var/log/messages', 'log');
  return root;
}

function mountOver(directory: string, options: string): void {
  mkdirSync(directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
}

describe('attack table: bounds of mutable areas', () => {
  test('21: ordinary content, links, a FIFO, a socket, a setgid directory: within bounds', async () => {
    const root = area();
    symlinkSync('/bin/su', join(root, 'var/su'));
    execFileSync('mkfifo', [join(root, 'var/fifo')]);
    const server = createServer().listen(join(root, 'var/socket'));
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    mkdirSync(join(root, 'var/mail'));
    chmodSync(join(root, 'var/mail'), 0o2775);
    expect(await beyond(root)).toEqual([]);
  });

  test('21: a setuid or setgid file, however deep: unbounded', async () => {
    const root = area();
    writeTo(root, 'var/a/b/c/d/su', 'x');
    chmodSync(join(root, 'var/a/b/c/d/su'), 0o4755);
    writeTo(root, 'var/.hidden/sg', 'x');
    chmodSync(join(root, 'var/.hidden/sg'), 0o2755);
    const { uid, gid } = { uid: process.getuid?.(), gid: process.getgid?.() };
    expect(await beyond(root)).toEqual([
      `unbounded /var/.hidden/sg mode=2755 uid=${uid} gid=${gid}`,
      `unbounded /var/a/b/c/d/su mode=4755 uid=${uid} gid=${gid}`,
    ]);
  });

  asRoot('21: device nodes and a file with a capability: unbounded', async () => {
    const root = area();
    execFileSync('mknod', [join(root, 'var/lib/mem'), 'c', '1', '1']);
    execFileSync('mknod', [join(root, 'var/lib/disk'), 'b', '7', '200']);
    setXattr(join(root, 'var/lib/app/data'), 'security.capability', NET_RAW_CAPABILITY);
    expect(await beyond(root)).toEqual([
      'unbounded /var/lib/app/data xattr.security.capability',
      'unbounded /var/lib/disk type=block device=7,200',
      'unbounded /var/lib/mem type=char device=1,1',
    ]);
  });

  asRoot('21: what the release allows in an area is allowed there alone', async () => {
    const root = area();
    execFileSync('mknod', [join(root, 'var/lib/mem'), 'c', '1', '1']);
    execFileSync('mknod', [join(root, 'var/log/mem'), 'c', '1', '1']);
    chmodSync(join(root, 'var/lib/app/data'), 0o4755);
    const mutable = ['/var', { path: '/var/lib', allow: ['devices' as const] }];
    expect((await beyond(root, { mutable })).map((found) => found.split(' ')[1])).toEqual([
      '/var/lib/app/data',
      '/var/log/mem',
    ]);
  });

  test('21: a mutable area that is not there yet is within bounds', async () => {
    const root = area();
    rmSync(join(root, 'var'), { recursive: true });
    expect(await beyond(root)).toEqual([]);
  });

  withMounts('21: where the release demands nosuid and nodev, the mount is the guarantee', async () => {
    const root = area();
    const tmpfs = join(root, 'var/spool');
    mountOver(tmpfs, 'nosuid,nodev');
    writeTo(root, 'var/spool/su', 'x');
    chmodSync(join(tmpfs, 'su'), 0o4755);
    expect(await beyond(root)).toEqual(['unbounded /var/spool/su mode=4755 uid=0 gid=0']);
    const rule: MountRule = {
      path: '/var/spool',
      types: [],
      require: ['nosuid', 'nodev'],
      forbid: [],
      optional: false,
    };
    const demanded = { mutable: ['/var'], mounts: [rule] };
    expect(await beyond(root, demanded)).toEqual([]);
    execFileSync('mount', ['-o', 'remount,suid,nodev', tmpfs]);
    expect(await beyond(root, demanded)).toEqual(['mount-options /var/spool options=rw,nodev']);
  });

  withMounts('21: a mount of the kernel itself in a mutable area is not entered', async () => {
    const root = area();
    const proc = join(root, 'var/proc');
    mkdirSync(proc);
    execFileSync('mount', ['-t', 'proc', 'proc', proc]);
    onTestFinished(() => void execFileSync('umount', ['-l', proc]));
    expect(await beyond(root)).toEqual([]);
  });

  test('21: deeper than can be looked into: unbounded, and memory stays bounded', async () => {
    const root = area();
    const script =
      'process.chdir(process.argv[1]); for (let i = 0; i < 1200; i++) { fs.mkdirSync("d"); process.chdir("d"); }';
    execFileSync(process.execPath, ['-e', script, join(root, 'var')]);
    const found = await beyond(root);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^unbounded \/var(?:\/d){999,1001} more; not looked into$/);
  });

  test('21: found by the running agent, which drifts', async () => {
    const machine = await sealMachine();
    const measurer = await startMeasuring(machine);
    await measurer.settled;
    expect(measurer.verdict()).toMatchObject({ state: 'trusted' });
    writeTo(machine.root, 'tmp/su', 'x');
    chmodSync(machine.file('tmp/su'), 0o4755);
    await until('drift', () => measurer.verdict().state === 'drifted');
    expect(measurer.verdict().drift).toMatchObject([{ kind: 'unbounded', path: '/tmp/su' }]);
  });

  test('21: found by the boot check before the machine is trusted', async () => {
    const machine = await sealMachine();
    writeTo(machine.root, 'tmp/su', 'x');
    chmodSync(machine.file('tmp/su'), 0o4755);
    const states: string[] = [];
    const measurer = await startMeasuring(machine, { notify: (words) => void states.push(words) });
    await measurer.settled;
    expect(measurer.verdict()).toMatchObject({
      state: 'drifted',
      drift: [{ kind: 'unbounded', path: '/tmp/su' }],
    });
    expect(states).not.toContain('STATUS=trusted');
  });
});

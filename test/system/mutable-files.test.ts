import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import type { MutableFile } from '../../src/base/mutable-rules.ts';
import { needs } from '../support/needs.ts';
import { rulesWith } from '../support/rules.ts';
import { NO_ROOT, type Sealed, makeImage, seal, writeTo } from './sealed-image.ts';
import { NET_RAW_CAPABILITY, setXattr } from './syscalls.ts';

const asRoot = needs(NO_ROOT);
const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
const file = (path: string, mode: string, link = false): MutableFile => ({ path, mode, uid, gid, link });

const RULES = rulesWith({
  mutable: ['/var'],
  mutableFiles: [
    file('/etc/machine-id', '0444'),
    file('/etc/resolv.conf', '0644', true),
    file('/etc/ssh/host_key', '0600'),
  ],
});

/** An image with a machine id and without the rest; `etc/ssh` is there. */
async function image(): Promise<Sealed> {
  const root = makeImage();
  mkdirSync(join(root, 'etc/ssh'));
  writeTo(root, 'etc/machine-id', 'uninitialized\n');
  chmodSync(join(root, 'etc/machine-id'), 0o444);
  return seal(root, RULES);
}

describe('mutable files', () => {
  test('are not in the manifest, and may change, appear and go: good', async () => {
    const sealed = await image();
    const { root, manifest } = sealed;
    expect([...manifest].map(({ path }) => path)).not.toContain('etc/machine-id');
    writeTo(root, 'etc/new', '0123\n');
    chmodSync(join(root, 'etc/new'), 0o444);
    renameSync(join(root, 'etc/new'), join(root, 'etc/machine-id'));
    writeFileSync(join(root, 'etc/ssh/host_key'), 'key', { mode: 0o600 });
    symlinkSync('/run/resolv.conf', join(root, 'etc/resolv.conf'));
    expect(await sealed.found()).toEqual([]);
    rmSync(join(root, 'etc/machine-id'));
    expect(await sealed.found()).toEqual([]);
  });

  test('leave their directory a closed world: unexpected', async () => {
    const sealed = await image();
    const { root } = sealed;
    writeTo(root, 'etc/ssh/host_key.tmp', 'key');
    expect(await sealed.found()).toEqual(['unexpected /etc/ssh/host_key.tmp']);
  });

  test('of another type, or through a link: type', async () => {
    const sealed = await image();
    const { root } = sealed;
    execFileSync('mkfifo', [join(root, 'etc/resolv.conf')]);
    rmSync(join(root, 'etc/machine-id'));
    symlinkSync('/dev/null', join(root, 'etc/machine-id'));
    mkdirSync(join(root, 'etc/ssh/host_key'));
    expect(await sealed.found()).toEqual([
      'type /etc/machine-id',
      'type /etc/resolv.conf',
      'type /etc/ssh/host_key',
    ]);
  });

  test('with a wider mode: metadata; setuid: unbounded', async () => {
    const sealed = await image();
    const { root } = sealed;
    writeFileSync(join(root, 'etc/ssh/host_key'), 'key');
    chmodSync(join(root, 'etc/ssh/host_key'), 0o640);
    chmodSync(join(root, 'etc/machine-id'), 0o4444);
    expect(await sealed.found()).toEqual(['unbounded /etc/machine-id', 'metadata /etc/ssh/host_key']);
  });

  asRoot('of another owner: metadata; with a capability: unbounded', async () => {
    const sealed = await image();
    const { root } = sealed;
    chownSync(join(root, 'etc/machine-id'), 1000, 0);
    writeFileSync(join(root, 'etc/ssh/host_key'), 'key', { mode: 0o600 });
    setXattr(join(root, 'etc/ssh/host_key'), 'security.capability', NET_RAW_CAPABILITY);
    expect(await sealed.found()).toEqual(['metadata /etc/machine-id', 'unbounded /etc/ssh/host_key']);
  });

  test('that are directories in the image: the build is refused', async () => {
    const root = makeImage();
    mkdirSync(join(root, 'etc/machine-id'));
    await expect(seal(root, RULES)).rejects.toMatchObject({ code: 'rule-unusable' });
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import type { MountRule } from '../../../src/base/mount-rules.ts';
import type { KernelFiles } from '../../../src/host/mounts/mount-coverage.ts';
import { type MountLook, createMountWatch } from '../../../src/host/mounts/mount-watch.ts';
import { rulesWith } from '../../support/rules.ts';
import { kernelFiles } from './kernel-files.ts';
import { type MountWords, mountTable } from './mount-line.ts';

const AT = '2026-11-23T12:00:00Z';

const rule = (path: string, change: Partial<MountRule> = {}): MountRule => ({
  path,
  types: [],
  require: [],
  forbid: [],
  optional: false,
  ...change,
});

const usr: MountWords = {
  id: 2,
  path: '/usr',
  device: '8:2',
  type: 'erofs',
  options: 'ro,nodev',
  superOptions: 'ro',
};
const tmp: MountWords = { id: 3, path: '/tmp', device: '0:30', type: 'tmpfs', options: 'rw,nosuid,nodev' };

/** A machine whose mount tables are files. */
function machine(change: Parameters<typeof rulesWith>[0], isRunning = true, kernel?: KernelFiles) {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-mounts-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const tables = { own: join(directory, 'own'), init: join(directory, 'init') };
  const rules = rulesWith({ mutable: ['/tmp', '/var'], ...change });
  const watch = createMountWatch({ root: '/', rules, isRunning, tables, ...(kernel && { kernel }) });
  const show = (init: readonly MountWords[] | undefined, own: readonly MountWords[] = init ?? []): void => {
    writeFileSync(tables.own, mountTable(...own));
    if (init === undefined) rmSync(tables.init, { force: true });
    else writeFileSync(tables.init, mountTable(...init));
  };
  const words = (look: MountLook | undefined): string[] | undefined =>
    look?.findings.map(({ kind, path }) => `${kind} ${path}`);
  return {
    look: () => watch(AT),
    /** What is found once the tables are these. */
    found: (init: readonly MountWords[], own = init): string[] | undefined => {
      show(init, own);
      return words(watch(AT));
    },
    show,
  };
}

describe('createMountWatch: rules', () => {
  it('finds a mount over, in or above what is measured, unless a rule allows one there', () => {
    expect(machine({}).found([usr])).toEqual(['overmounted /usr']);
    expect(machine({ mounts: [rule('/usr')] }).found([usr])).toEqual([]);
    expect(machine({}).found([{ id: 2, path: '/usr/bin/env' }])).toEqual(['overmounted /usr/bin/env']);
    expect(machine({ roots: ['/usr/lib'] }).found([usr])).toEqual(['overmounted /usr']);
    expect(machine({ roots: ['/etc'] }).found([usr])).toEqual([]);
  });

  it('finds a mount over the bundle', () => {
    const path = '/usr/share/sealborn/bundle';
    expect(machine({}).found([{ id: 2, path }])).toEqual([`overmounted ${path}`]);
  });

  it('leaves mutable areas free, and mounts that another one hides', () => {
    expect(machine({}).found([tmp, { id: 4, parent: 3, path: '/tmp/x' }])).toEqual([]);
    expect(machine({}).found([{ id: 4, path: '/tmp/x' }, tmp])).toEqual([]);
  });

  it('compares type and options, a read-only file system counting as a read-only mount', () => {
    const { found } = machine({
      mounts: [rule('/usr', { types: ['erofs', 'ext4'], require: ['ro', 'nodev'] })],
    });
    expect(found([usr])).toEqual([]);
    expect(found([{ ...usr, options: 'rw,nodev' }])).toEqual([]);
    expect(found([{ ...usr, superOptions: 'rw' }])).toEqual([]);
    expect(found([{ ...usr, options: 'rw,nodev', superOptions: 'rw' }])).toContain('mount-options /usr');
    expect(found([{ ...usr, type: 'tmpfs' }])).toContain('overmounted /usr');
  });

  it('compares options in mutable areas and on the root', () => {
    const rules = { mounts: [rule('/tmp', { require: ['nosuid'] }), rule('/', { forbid: ['rw'] })] };
    const both = machine(rules).found([{ ...tmp, options: 'rw' }]);
    expect(both).toEqual(['mount-options /tmp', 'mount-options /']);
    expect(machine({ mounts: [rule('/tmp', { forbid: ['noexec'] })] }).found([tmp])).toEqual([]);
  });

  it('finds that nothing is mounted where something must be', () => {
    expect(machine({ mounts: [rule('/usr')] }).found([])).toEqual(['mount-options /usr']);
    expect(machine({ mounts: [rule('/usr', { optional: true })] }).found([])).toEqual([]);
    expect(machine({ mounts: [rule('/tmp')] }).found([])).toEqual(['mount-options /tmp']);
  });

  it('finds a second mount at one path, but not an automount below it that the rule names', () => {
    const over = { ...usr, id: 9, parent: 2 };
    expect(machine({ mounts: [rule('/usr')] }).found([usr, over])).toEqual(['overmounted /usr']);
    const auto: MountWords = { id: 2, path: '/usr', type: 'autofs', device: '0:50' };
    const types = ['autofs', 'erofs'];
    const rules = { mounts: [rule('/usr', { types, require: ['ro'] })] };
    expect(machine(rules).found([auto])).toEqual([]);
    expect(machine(rules).found([auto, over])).toEqual([]);
    expect(machine({ mounts: [rule('/usr', { types: ['erofs'] })] }).found([auto])).toEqual([
      'overmounted /usr',
    ]);
  });

  it('lets system extensions lie over a tree only where the release says so, and read-only', () => {
    const overlay: MountWords = { id: 9, path: '/usr', type: 'overlay', device: '0:60', options: 'ro,nodev' };
    expect(machine({}).found([overlay])).toEqual(['overmounted /usr']);
    expect(machine({ extensions: ['sysext'] }).found([overlay])).toEqual([]);
    expect(machine({ extensions: ['confext'] }).found([overlay])).toEqual(['overmounted /usr']);
    expect(machine({ extensions: ['sysext'] }).found([{ ...overlay, options: 'rw' }])).toEqual([
      'overmounted /usr',
    ]);
    const over = { ...overlay, parent: 2 };
    const both = { extensions: ['sysext' as const], mounts: [rule('/usr', { types: ['erofs'] })] };
    expect(machine(both).found([usr, over])).toEqual([]);
    expect(machine({ extensions: ['sysext'] }).found([usr, over])).toEqual(['overmounted /usr']);
  });

  it('judges, of a tree that does not run here, only where something is mounted', () => {
    const rules = { mounts: [rule('/usr', { types: ['erofs'], require: ['ro'] }), rule('/boot')] };
    expect(machine(rules, false).found([{ id: 2, path: '/usr' }])).toEqual([]);
    expect(machine(rules, false).found([{ id: 2, path: '/etc' }])).toEqual(['overmounted /etc']);
  });
});

describe('createMountWatch: what was seen at start', () => {
  const free = { mounts: [rule('/usr', { optional: true })] };

  it('says nothing where nothing has changed', () => {
    const { found, look } = machine(free);
    expect(found([usr])).toEqual([]);
    expect(look()).toBeUndefined();
  });

  it('finds options that a measured mount or the root has lost, but none that it gained', () => {
    const { found } = machine(free);
    expect(found([{ ...usr, options: 'ro' }])).toEqual([]);
    expect(found([usr])).toEqual([]);
    expect(found([{ ...usr, options: 'rw', superOptions: 'rw' }])).toEqual(['mount-options /usr']);
    const root = machine({});
    root.show([{ id: 1, parent: 0, path: '/', options: 'ro' }]);
    expect(root.found([])).toEqual([]);
  });

  it('finds another file system, or another part of the same, at a measured path', () => {
    for (const change of [{ device: '8:3' }, { root: '/other' }, { type: 'ext4' }]) {
      const { found } = machine(free);
      found([usr]);
      expect(found([{ ...usr, id: 8, ...change }])).toEqual(['overmounted /usr']);
    }
  });

  it('lets an optional mount go and come back', () => {
    const { found } = machine(free);
    expect([found([usr]), found([]), found([{ ...usr, id: 8 }])]).toEqual([[], [], []]);
  });

  it('finds nosuid or nodev dropped in a mutable area while the mount stays', () => {
    const { found } = machine({});
    expect(found([tmp])).toEqual([]);
    expect(found([{ ...tmp, options: 'ro,nodev' }])).toEqual(['mount-options /tmp']);
    expect(found([{ ...tmp, id: 8, options: 'rw' }])).toEqual([]);
  });
});

describe('createMountWatch: root hashes', () => {
  const HASH = 'ab'.repeat(32);
  const hashed = {
    roots: ['/usr'],
    mutable: [],
    bundle: '/etc/bundle',
    mounts: [rule('/usr', { rootHash: HASH })],
  };

  it.each([
    ['the one that the command line names', 'CRYPT-VERITY-1-usr', `usrhash=${HASH}`, undefined],
    [
      'another than the command line names',
      'CRYPT-VERITY-1-usr',
      `usrhash=${'cd'.repeat(32)}`,
      /root hash cdcd/,
    ],
    ['one that the command line does not name', 'CRYPT-VERITY-1-usr', 'ro', /names no root hash/],
    ['one, where there is no dm-verity', 'CRYPT-LUKS2-1-usr', `usrhash=${HASH}`, /^read-only$/],
  ])('a release demands %s', (_, uuid, cmdline, actual) => {
    const { found, look, show } = machine(hashed, true, kernelFiles({ '8:2': uuid }, cmdline));
    if (actual === undefined) return expect(found([usr])).toEqual([]);
    show([usr]);
    expect(look()?.findings).toMatchObject([
      {
        kind: 'mount-options',
        path: '/usr',
        expected: `dm-verity, root hash ${HASH}`,
        actual: expect.stringMatching(actual) as string,
      },
    ]);
  });

  it('are no matter of a tree that lies elsewhere', () => {
    expect(machine(hashed, false, kernelFiles({}, '')).found([usr])).toEqual([]);
  });
});

describe('createMountWatch: the view of PID 1', () => {
  const allowed = { mounts: [rule('/usr')] };

  it('applies the rules to what PID 1 sees', () => {
    expect(machine({}).found([usr], [])).toEqual(['overmounted /usr', 'overmounted /usr']);
    expect(machine(allowed).found([], [usr])).toEqual(['overmounted /usr', 'mount-options /usr']);
  });

  it('finds a measured path that leads elsewhere for the agent than for PID 1 (attacks, row 44)', () => {
    const other = { ...usr, id: 7, root: '/copy' };
    expect(machine(allowed).found([usr], [other])).toEqual(['overmounted /usr']);
    const bind: MountWords = { id: 9, path: '/etc/passwd', root: '/tmp/passwd' };
    expect(machine({}).found([], [bind])).toEqual(['overmounted /etc/passwd']);
  });

  it("accepts the mounts of a unit's own namespace that lead to the same objects", () => {
    const own: MountWords[] = [
      { ...usr, id: 22 },
      { id: 23, parent: 22, path: '/usr', device: '8:2', type: 'erofs', options: 'ro,nosuid', root: '/' },
      { id: 24, path: '/etc', root: '/etc', options: 'ro' },
      { id: 25, path: '/tmp', type: 'tmpfs', device: '0:99', options: 'rw,nosuid,nodev' },
    ];
    const demanded = rule('/tmp', { require: ['nosuid', 'nodev'] });
    expect(machine({ mounts: [rule('/usr'), demanded] }).found([usr, tmp], own)).toEqual([]);
    // Looked into, it must be the machine's.
    expect(machine(allowed).found([usr, tmp], own)).toEqual(['overmounted /tmp']);
  });

  it('says so where PID 1 can not be seen, and finds it where it could be before', () => {
    const { show, look, found } = machine(allowed);
    show(undefined, [usr]);
    expect(look()).toMatchObject({ findings: [], mounts: { view: 'own' } });
    expect(found([usr])).toEqual([]);
    show(undefined, [usr]);
    expect(look()).toMatchObject({
      mounts: { view: 'own' },
      findings: [{ kind: 'unreadable', path: expect.stringMatching(/init$/) as string }],
    });
  });

  it('fails where its own table can not be read', () => {
    const { look } = machine({});
    expect(() => look()).toThrow(expect.objectContaining({ code: 'permission-denied' }));
  });
});

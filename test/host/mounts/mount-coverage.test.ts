import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { type MountCoverage, mountCoverageReader } from '../../../src/attestation/mount-state.ts';
import { ROOT_PATH } from '../../../src/base/byte-path.ts';
import { readShape } from '../../../src/base/shape.ts';
import { mountCoverage } from '../../../src/host/mount-coverage.ts';
import { mountScopeOf } from '../../../src/host/mount-scope.ts';
import { createMountTable } from '../../../src/host/mount-table.ts';
import { rulesWith } from '../../support/rules.ts';
import { type MountWords, parsed } from './mount-line.ts';

const HASH = 'ab'.repeat(32);

/** A kernel as files: which devices are dm-verity, and what it was started with. */
function kernel(uuids: Record<string, string>, cmdline = ''): { sys: string; cmdline: string } {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-kernel-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [device, uuid] of Object.entries(uuids)) {
    mkdirSync(join(directory, 'dev/block', device, 'dm'), { recursive: true });
    writeFileSync(join(directory, 'dev/block', device, 'dm/uuid'), `${uuid}\n`);
  }
  writeFileSync(join(directory, 'cmdline'), `${cmdline}\n`);
  return { sys: directory, cmdline: join(directory, 'cmdline') };
}

function coverage(files: ReturnType<typeof kernel>, ...mounts: MountWords[]): MountCoverage {
  const rules = mountScopeOf(rulesWith({ mutable: ['/var'] }));
  const seen = mountCoverage(createMountTable(parsed(...mounts)), ROOT_PATH, rules, 'init', files);
  return readShape(mountCoverageReader({ open: false }), JSON.parse(JSON.stringify(seen)), 'mounts');
}

const usr: MountWords = { id: 2, path: '/usr', device: '253:1', type: 'erofs', options: 'ro,nodev' };

describe('mountCoverage', () => {
  it('says what is measured through which mount, and what stands behind it', () => {
    const files = kernel(
      { '253:1': 'CRYPT-VERITY-0123-usr', '253:2': 'CRYPT-LUKS2-0123-x' },
      `ro usrhash=${HASH}`,
    );
    const etc: MountWords = { id: 3, path: '/etc', device: '253:2', options: 'ro' };
    expect(coverage(files, usr, etc, { id: 4, path: '/var' })).toEqual({
      view: 'init',
      total: 3,
      shown: [
        { path: '/', type: 'ext4', device: '8:1', options: ['rw'], backing: 'writable' },
        {
          path: '/usr',
          type: 'erofs',
          device: '253:1',
          options: ['ro', 'nodev'],
          backing: 'dm-verity',
          claimedRootHash: HASH,
        },
        { path: '/etc', type: 'ext4', device: '253:2', options: ['ro'], backing: 'read-only' },
      ],
    });
  });

  it.each([
    ['is named twice', `usrhash=${HASH} usrhash=${'cd'.repeat(32)}`],
    ['is no hash', 'usrhash=../../etc'],
    ['is of another mount', `roothash=${HASH}`],
  ])('claims no root hash where the one on the command line %s', (_, cmdline) => {
    const { shown } = coverage(kernel({ '253:1': 'CRYPT-VERITY-1-usr' }, cmdline), usr);
    expect(shown[1]).toMatchObject({ backing: 'dm-verity' });
    expect(shown[1]).not.toHaveProperty('claimedRootHash');
  });

  it('claims no root hash for a mount that is not on dm-verity', () => {
    const { shown } = coverage(kernel({}, `usrhash=${HASH}`), usr);
    expect(shown[1]).toMatchObject({ backing: 'read-only' });
    expect(shown[1]).not.toHaveProperty('claimedRootHash');
  });

  it('shows the first 32 and counts the rest', () => {
    const many = Array.from({ length: 50 }, (_, i): MountWords => ({ id: i + 2, path: `/m${i}` }));
    const { total, shown } = coverage(kernel({}), ...many);
    expect([total, shown.length]).toEqual([51, 32]);
  });
});

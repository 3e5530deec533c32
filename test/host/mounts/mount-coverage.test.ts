import { describe, expect, it } from 'vitest';

import { type MountCoverage, mountCoverageReader } from '../../../src/attestation/mount-state.ts';
import { ROOT_PATH } from '../../../src/base/byte-path.ts';
import { readShape } from '../../../src/base/shape.ts';
import { mountCoverage } from '../../../src/host/mounts/mount-coverage.ts';
import { mountScopeOf } from '../../../src/host/mounts/mount-scope.ts';
import { createMountTable } from '../../../src/host/mounts/mount-table.ts';
import { rulesWith } from '../../support/rules.ts';
import { kernelFiles } from './kernel-files.ts';
import { type MountWords, parsed } from './mount-line.ts';

const HASH = 'ab'.repeat(32);

function coverage(files: ReturnType<typeof kernelFiles>, ...mounts: MountWords[]): MountCoverage {
  const rules = mountScopeOf(rulesWith({ mutable: ['/var'] }));
  const seen = mountCoverage(createMountTable(parsed(...mounts)), ROOT_PATH, rules, 'init', files);
  return readShape(mountCoverageReader({ open: false }), JSON.parse(JSON.stringify(seen)), 'mounts');
}

const usr: MountWords = { id: 2, path: '/usr', device: '253:1', type: 'erofs', options: 'ro,nodev' };

describe('mountCoverage', () => {
  it('says what is measured through which mount, and what stands behind it', () => {
    const files = kernelFiles(
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
    const { shown } = coverage(kernelFiles({ '253:1': 'CRYPT-VERITY-1-usr' }, cmdline), usr);
    expect(shown[1]).toMatchObject({ backing: 'dm-verity' });
    expect(shown[1]).not.toHaveProperty('claimedRootHash');
  });

  it('claims no root hash for a mount that is not on dm-verity', () => {
    const { shown } = coverage(kernelFiles({}, `usrhash=${HASH}`), usr);
    expect(shown[1]).toMatchObject({ backing: 'read-only' });
    expect(shown[1]).not.toHaveProperty('claimedRootHash');
  });

  it('shows the first 32 and counts the rest', () => {
    const many = Array.from({ length: 50 }, (_, i): MountWords => ({ id: i + 2, path: `/m${i}` }));
    const { total, shown } = coverage(kernelFiles({}), ...many);
    expect([total, shown.length]).toEqual([51, 32]);
  });
});

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { IS_ROOT, sealedImage } from './sealed-image.ts';

/** Root in a container may not mount. */
function canMount(): boolean {
  if (!IS_ROOT) return false;
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-mount-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
  if (status === 0) execFileSync('umount', [directory]);
  rmdirSync(directory);
  if (status !== 0) process.stderr.write('skipped: this machine does not let root mount\n');
  return status === 0;
}

const asRoot = test.skipIf(!canMount());

function mountTmpfs(directory: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=1777,size=1m', 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', [directory]));
}

describe('mounts', () => {
  asRoot('a mount over a mutable directory is what it is there for: good', async () => {
    const image = await sealedImage();
    mountTmpfs(join(image.root, 'var'));
    expect(await image.found()).toEqual([]);
  });

  asRoot('a mutable directory that nothing is mounted on keeps its mode: metadata', async () => {
    const image = await sealedImage();
    chmodSync(join(image.root, 'var'), 0o1777);
    expect(await image.found()).toEqual(['metadata /var']);
  });

  asRoot('a mount over a measured directory hides what must be there: missing', async () => {
    const image = await sealedImage();
    mountTmpfs(join(image.root, 'etc'));
    expect((await image.found()).filter((found) => found.startsWith('missing'))).toContain(
      'missing /etc/passwd',
    );
  });
});

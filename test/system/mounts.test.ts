import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, onTestFinished } from 'vitest';

import { needs } from '../support/needs.ts';
import { NO_MOUNTS, sealedImage } from './sealed-image.ts';

const asRoot = needs(NO_MOUNTS);

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

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';

import { thisArchitecture } from '../../scripts/package/architecture.ts';
import { makePackage } from '../../scripts/package/debian.ts';

/** Makes sealborn's package as `npm run package` does, and installs it in the image with its dpkg. */
export async function installPackage(root: string): Promise<void> {
  const file = await makePackage({
    name: 'sealborn',
    architecture: thisArchitecture(),
    out: root,
    epoch: Math.floor(Date.now() / 1000),
    compression: 0,
  });
  try {
    execFileSync('chroot', [root, 'dpkg', '--force-unsafe-io', '--install', `/${basename(file)}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } finally {
    rmSync(join(root, basename(file)));
  }
}

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { project } from '../bundle.ts';
import type { Architecture } from './architecture.ts';

type Lock = { packages: Record<string, { version: string; integrity: string }> };

/**
 * Puts Node.js and koffi for another architecture into node_modules, where npm leaves them out: of the version
 * and with the digest that package-lock.json names.
 */
export async function fetchParts({ node, koffi }: Architecture): Promise<void> {
  const { packages } = JSON.parse(readFileSync(project('package-lock.json'), 'utf8')) as Lock;
  for (const file of [node, koffi]) {
    const directory = /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? '';
    const wanted = packages[directory];
    if (existsSync(project(file))) continue;
    if (wanted === undefined) throw new Error(`package-lock.json has no ${directory}`);
    fetchPackage(directory, wanted);
  }
}

function fetchPackage(directory: string, { version, integrity }: Lock['packages'][string]): void {
  const work = mkdtempSync(join(tmpdir(), 'sealborn-fetch-'));
  try {
    const name = directory.slice('node_modules/'.length);
    const packed = execFileSync(
      'npm',
      ['pack', '--silent', '--pack-destination', work, `${name}@${version}`],
      {
        encoding: 'utf8',
      },
    );
    const archive = join(work, packed.trim());
    const digest = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (digest !== integrity) throw new Error(`${name}@${version} is not what package-lock.json names`);
    // Beside its place first: what is there under its own name is whole.
    const partial = `${project(directory)}.partial-${process.pid}`;
    try {
      mkdirSync(partial, { recursive: true });
      execFileSync('tar', ['-xzf', archive, '-C', partial, '--strip-components=1', '--no-same-owner']);
      rmSync(project(directory), { recursive: true, force: true });
      renameSync(partial, project(directory));
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

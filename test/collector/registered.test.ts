import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { parseEnvelope } from '../../src/base/dsse.ts';
import { sha256 } from '../../src/base/digest.ts';
import { readRegistered } from '../../src/collector/registered.ts';
import { bundle, newKey, trustYaml } from '../bundle/bundle-fixture.ts';
import { temporaryDirectory } from './collector-fixture.ts';

describe('readRegistered', () => {
  const key = newKey();
  async function files(release: Buffer): Promise<{ releases: string; trust: string[] }> {
    const directory = await temporaryDirectory();
    const releases = join(directory, 'releases');
    await mkdir(releases);
    await writeFile(join(releases, 'one.dsse.json'), release);
    await writeFile(join(releases, 'README'), 'not a release');
    await writeFile(join(directory, 'trust.yaml'), trustYaml([key]));
    return { releases, trust: [join(directory, 'trust.yaml')] };
  }

  it('gives the digest of every signed release of a trusted environment', async () => {
    const release = bundle([key])['release.dsse.json'];
    const { payload } = parseEnvelope(release, 'release', 1_000_000);
    expect((await readRegistered(await files(release))).releases).toEqual(new Set([sha256(payload)]));
  });

  it('refuses the whole where one is unsigned, signed by another, or of another environment', async () => {
    for (const wrong of [bundle([]), bundle([newKey()]), bundle([key], { environment: 'staging' })]) {
      await expect(readRegistered(await files(wrong['release.dsse.json']))).rejects.toMatchObject({
        code: 'settings-invalid',
        message: expect.stringContaining('one.dsse.json'),
      });
    }
  });

  it('refuses releases without a trust.yaml to verify them with', async () => {
    const { releases } = await files(bundle([key])['release.dsse.json']);
    await expect(readRegistered({ releases, trust: [] })).rejects.toMatchObject({ code: 'settings-invalid' });
  });
});

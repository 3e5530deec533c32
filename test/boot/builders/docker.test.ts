import { type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { project } from '../../../scripts/bundle.ts';
import { thisArchitecture } from '../../../scripts/package/architecture.ts';
import { debianRoot } from '../debian-root.ts';
import { skipped, whyNot } from '../requirements.ts';
import { type Workshop, openWorkshop } from './workshop.ts';

const NEEDED = { buildah: 'buildah', mmdebstrap: 'mmdebstrap', binutils: 'strip', git: 'git' };
const BASE = 'localhost/debian';
const PIPELINE = 'localhost/sealborn-pipeline';

/** The rules for what is measured, from the page of the example. */
function measureOfThePage(): string {
  const page = readFileSync(project('packaging/examples/docker/README.md'), 'utf8');
  return /^```yaml\n(measure:\n.*?)^```$/ms.exec(page)?.[1] ?? '';
}

describe.skipIf(skipped(whyNot(NEEDED)))('packaging/examples/docker', () => {
  let shop: Workshop;
  beforeAll(async () => {
    shop = await openWorkshop();
  });
  afterAll(() => shop?.remove());

  const buildah = (...args: string[]): string => {
    const storage = [
      `--root=${shop.place}/storage`,
      `--runroot=${shop.place}/runroot`,
      '--storage-driver=vfs',
    ];
    const said: SpawnSyncReturns<string> = shop.run(['buildah', ...storage, ...args]);
    if (said.status !== 0) throw new Error((said.stdout + said.stderr).slice(-4000));
    return said.stdout.trim();
  };

  /** Debian as the example's BASE, and the same with the pipeline's program as its PIPELINE. */
  const makeImages = (): void => {
    const base = buildah('from', 'scratch');
    buildah('add', '-q', base, debianRoot(['ca-certificates', 'git', 'libatomic1', 'systemd-sysv']).tar, '/');
    buildah('commit', '-q', base, BASE);
    const root = buildah('mount', base);
    const inside = join(root, 'opt/pipeline');
    mkdirSync(join(inside, 'node_modules'), { recursive: true });
    cpSync(project('dist'), join(inside, 'dist'), { recursive: true });
    for (const name of ['@cedar-policy', '@koromix', 'koffi']) {
      const from = project(`node_modules/${name}`);
      cpSync(from, join(inside, 'node_modules', name), { recursive: true });
    }
    cpSync(project(thisArchitecture().node), join(root, 'usr/local/bin/node'));
    const program = join(root, 'usr/local/bin/sealborn');
    writeFileSync(program, '#!/bin/sh\nexec node /opt/pipeline/dist/sealborn.js "$@"\n');
    chmodSync(program, 0o755);
    buildah('umount', base);
    buildah('commit', '-q', base, PIPELINE);
    buildah('rm', base);
  };

  it('makes an image that verifies as it lies in its layers, without the key, and no longer after one byte', () => {
    makeImages();
    const context = join(shop.place, 'context');
    mkdirSync(context);
    cpSync(shop.deb, join(context, 'sealborn.deb'));
    cpSync(shop.keys.pub, join(context, 'release.pub'));
    const settings = join(shop.policy, 'sealborn.yaml');
    const before = readFileSync(settings, 'utf8');
    writeFileSync(settings, before.replace(/^measure:\n(?:[ #].*\n|\n)*/m, `${measureOfThePage()}\n`));
    const author = ['-c', 'user.name=Boot', '-c', 'user.email=boot@example.org'];
    shop.run(['git', '-C', shop.policy, ...author, 'commit', '-qam', 'Measure what is ours']);
    cpSync(shop.policy, join(context, 'policy'), { recursive: true });

    buildah(
      'bud',
      '--isolation=chroot',
      '--tag=payments',
      `--build-arg=PIPELINE=${PIPELINE}`,
      `--build-arg=BASE=${BASE}`,
      `--secret=id=release-key,src=${shop.keys.key}`,
      `--file=${project('packaging/examples/docker/Dockerfile')}`,
      context,
    );

    const container = buildah('from', 'localhost/payments');
    const root = buildah('mount', container);
    const secret = readFileSync(shop.keys.key, 'utf8').trim().split('\n')[1] ?? '';
    expect(secret).not.toBe('');
    expect(shop.run(['grep', '-rlsF', secret, join(shop.place, 'storage')]).stdout).toBe('');
    const { clean, altered } = shop.verify(root);
    expect(clean, clean.stdout + clean.stderr).toMatchObject({ status: 0 });
    expect(altered).toMatchObject({ status: 1 });
    expect(altered.stdout).toContain('/usr/bin/dash');
  });
});

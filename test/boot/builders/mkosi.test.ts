import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { skipped, whyNot } from '../requirements.ts';
import { type Workshop, copyExample, openWorkshop, unpack } from './workshop.ts';

const NEEDED = {
  mkosi: 'mkosi',
  debootstrap: 'debootstrap',
  'systemd-container': 'systemd-nspawn',
  zstd: 'zstd',
  binutils: 'strip',
  git: 'git',
};
/** The page's way for a builder without a systemd; nspawn leaves things in /run besides. */
const WITHOUT_SYSTEMD = 'mount -t tmpfs -o mode=755 tmpfs /run; exec mkosi --nspawn-keep-unit --force build';

describe.skipIf(skipped(whyNot(NEEDED)))('packaging/examples/mkosi', () => {
  let shop: Workshop;
  beforeAll(async () => {
    shop = await openWorkshop();
  });
  afterAll(() => shop?.remove());

  it('makes an image that verifies where it is unpacked, and no longer after one byte', () => {
    const example = copyExample(shop, 'mkosi');
    mkdirSync(join(example, 'mkosi.extra'));
    cpSync(shop.deb, join(example, 'mkosi.extra/sealborn.deb'));
    const built = shop.run(['unshare', '--mount', 'sh', '-ec', WITHOUT_SYSTEMD], {
      cwd: example,
      env: { POLICY: shop.policy, ENVIRONMENT: 'production', KEY: shop.keys.key },
    });
    expect(built.status, (built.stdout + built.stderr).slice(-4000)).toBe(0);
    const { clean, altered } = shop.verify(unpack(shop, join(example, 'payments.tar.zst')));
    expect(clean, clean.stdout + clean.stderr).toMatchObject({ status: 0 });
    expect(altered).toMatchObject({ status: 1 });
    expect(altered.stdout).toContain('/usr/bin/dash');
  });
});

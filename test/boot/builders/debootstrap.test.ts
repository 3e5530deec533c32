import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { skipped, whyNot } from '../requirements.ts';
import { type Workshop, copyExample, openWorkshop, unpack } from './workshop.ts';

const NEEDED = { mmdebstrap: 'mmdebstrap', 'dpkg-dev': 'dpkg-deb', binutils: 'strip', git: 'git' };

describe.skipIf(skipped(whyNot(NEEDED)))('packaging/examples/debootstrap', () => {
  let shop: Workshop;
  beforeAll(async () => {
    shop = await openWorkshop();
  });
  afterAll(() => shop?.remove());

  it('makes an image that verifies where it is unpacked, and no longer after one byte', () => {
    const example = copyExample(shop, 'debootstrap');
    const out = join(shop.place, 'payments.tar');
    const { deb, policy, keys } = shop;
    const built = shop.run([join(example, 'build-image'), out, deb, policy, 'production', keys.key]);
    expect(built.status, built.stderr.slice(-4000)).toBe(0);
    const { clean, altered } = shop.verify(unpack(shop, out));
    expect(clean, clean.stdout + clean.stderr).toMatchObject({ status: 0 });
    expect(altered).toMatchObject({ status: 1 });
    expect(altered.stdout).toContain('/usr/bin/dash');
  });

  it('seal-image refuses a key that lies in the image, and leaves no bundle', () => {
    const root = join(shop.place, 'tree');
    mkdirSync(join(root, 'root'), { recursive: true });
    const inside = join(root, 'root/release.key');
    cpSync(shop.keys.key, inside);
    const seal = join(copyExample(shop, 'debootstrap'), '../seal-image');
    const said = shop.run([seal, root, shop.policy, 'production', inside]);
    expect(said).toMatchObject({ status: 64 });
    expect(said.stderr).toContain('lies in the image');
    expect(shop.run(['test', '-e', join(root, 'usr')]).status).toBe(1);
  });
});

import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { measureTree } from '../../../src/host/measure/measure-tree.ts';
import { RULES, makeImage, seal } from '../../system/sealed-image.ts';

const refusal = (code: string): unknown => expect.objectContaining({ code });

describe('rules that lead through a link', () => {
  it('a measured root that is a link is refused: what it points to would not be measured', async () => {
    const root = makeImage(); // bin -> usr/bin
    await expect(measureTree({ root, rules: { ...RULES, roots: ['/bin'], mutable: [] } })).rejects.toEqual(
      refusal('rule-unusable'),
    );
  });

  it('an absent path through a link is refused at build: what it points to would not be looked at', async () => {
    const root = makeImage();
    await expect(measureTree({ root, rules: { ...RULES, absent: ['/bin/nc'] } })).rejects.toEqual(
      refusal('rule-unusable'),
    );
  });

  it('an absent path whose directory becomes a link is found, also beside the measured roots', async () => {
    const root = makeImage();
    const image = await seal(root, {
      ...RULES,
      roots: ['/usr'],
      mutable: [],
      absent: ['/etc/ld.so.preload'],
    });
    renameSync(join(root, 'etc'), join(root, 'etc2'));
    symlinkSync('etc2', join(root, 'etc'));
    writeFileSync(join(root, 'etc2/ld.so.preload'), '');
    expect(await image.found()).toEqual(['type /etc/ld.so.preload']);
    rmSync(join(root, 'etc'));
    mkdirSync(join(root, 'etc'));
    expect(await image.found()).toEqual([]);
  });
});

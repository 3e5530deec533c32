import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { DT_REG } from '../../../src/host/kernel/linux.ts';
import { DirectoryInspector } from '../../../src/host/measure/inspect-directory.ts';
import { Inspection } from '../../../src/host/measure/inspection.ts';
import { planJob } from '../../../src/host/measure/plan-job.ts';
import { findPath, nameOf } from '../../../src/manifest/packed-tree.ts';
import type { BytePath } from '../../../src/base/byte-path.ts';
import { makeImage, seal } from '../../system/sealed-image.ts';

const DT_LNK = 10;

test('DirectoryInspector says of each entry the type that the listing gave it, below the root too', async () => {
  const { root, manifest } = await seal(makeImage());
  const { tree } = manifest;
  const scope = { absent: [], files: new Map() };
  const job = planJob(tree, new Uint8Array(tree.count), scope, 1);
  const run = { mode: 'full', root: -1, at: '2026-01-01T00:00:00Z', clockOffset: 0 } as const;
  const inspector = new DirectoryInspector(new Inspection(job, run, 0, () => undefined));
  const bin = findPath(tree, 'usr/bin' as BytePath);
  const opened = openSync(join(root, 'usr/bin'), 'r');
  inspector.inspect(opened, bin);
  closeSync(opened);
  const first = tree.childAt[bin] ?? 0;
  const types = [0, 1, 2].map((at) => [nameOf(tree, tree.childList[first + at] ?? 0), inspector.typeAt(at)]);
  expect(types).toEqual([
    ['env', DT_REG],
    ['python3', DT_LNK],
    ['python3.13', DT_REG],
  ]);
});

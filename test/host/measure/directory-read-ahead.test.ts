import { existsSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { readDirectoriesAhead } from '../../../src/host/measure/directory-read-ahead.ts';
import { CONTROL_NEXT_UNIT, CONTROL_WAITS, type MeasureJob } from '../../../src/host/measure/measure-job.ts';
import { planJob } from '../../../src/host/measure/plan-job.ts';
import { makeImage, seal, writeTo } from '../../system/sealed-image.ts';

const DIRECTORIES = 50;

/** An image with many directories, and the work of checking it. */
async function prepare(): Promise<{ root: string; job: MeasureJob; listed: number }> {
  const root = makeImage();
  for (let i = 0; i < DIRECTORIES; i += 1) writeTo(root, `opt/d${i}/file`, `content ${i}`);
  const { manifest } = await seal(root);
  const { tree } = manifest;
  const job = planJob(tree, new Uint8Array(tree.count), { absent: [], files: new Map() }, 2);
  // The bundle's own directory is listed before it is there.
  const listed = [...manifest].filter(({ type, path }) => type === 'dir' && existsSync(join(root, path)));
  return { root, job, listed: listed.length };
}

const ahead = (
  { root, job }: { root: string; job: MeasureJob },
  signal = new AbortController().signal,
): Promise<number> => readDirectoriesAhead(root, job, signal);

test('readDirectoriesAhead reads every directory once, where many files had to be waited for', async () => {
  const prepared = await prepare();
  Atomics.store(prepared.job.control, CONTROL_WAITS, 1000);
  expect(await ahead(prepared)).toBe(prepared.listed);
  expect(prepared.listed).toBeGreaterThan(DIRECTORIES);
});

test('readDirectoriesAhead goes on past directories that are gone or are no directories', async () => {
  const prepared = await prepare();
  Atomics.store(prepared.job.control, CONTROL_WAITS, 1000);
  const { root, listed } = prepared;
  rmSync(join(root, 'opt/d1'), { recursive: true });
  rmSync(join(root, 'opt/d2'), { recursive: true });
  symlinkSync('nowhere', join(root, 'opt/d2'));
  expect(await ahead(prepared)).toBe(listed - 2);
});

test('readDirectoriesAhead reads nothing of what threads have taken, and nothing where all is at hand', async () => {
  const taken = await prepare();
  Atomics.store(taken.job.control, CONTROL_WAITS, 1000);
  Atomics.store(taken.job.control, CONTROL_NEXT_UNIT, taken.job.units.length / 2);
  expect(await ahead(taken)).toBe(0);
  const warm = await prepare();
  const stop = new AbortController();
  const done = ahead(warm, stop.signal);
  stop.abort();
  expect(await done).toBe(0);
});

import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { FADV_DONTNEED, fadvise } from '../../../src/host/kernel/linux.ts';
import { FileLane } from '../../../src/host/measure/file-lane.ts';
import { makeImage, seal, temporaryDirectory, writeTo } from '../../system/sealed-image.ts';

/** Takes a file out of the page cache, as far as the file system has one. */
function forget(path: string): void {
  const opened = openSync(path, 'r+');
  fsyncSync(opened);
  fadvise(opened, 0, 0, FADV_DONTNEED);
  closeSync(opened);
}

const PART = 128 * 1024;

test.each<[string, content: number, size: number, read: number, isRead: boolean]>([
  ['an empty file', 0, 0, 0, true],
  ['a small one', 22, 22, 22, true],
  ['the first part of a larger one', PART + 1, PART + 1, PART, false],
  ['one that is a part to the byte, without its end', PART, PART, PART, false],
  ['one that is longer by now: nothing', 23, 22, -1, false],
  ['one that is shorter by now: nothing', 21, 22, -1, false],
])('FileLane reads what was just written at once: %s', (_, content, size, read, isRead) => {
  const path = join(temporaryDirectory(), 'file');
  writeFileSync(path, Buffer.alloc(content));
  const opened = openSync(path, 'r');
  const lane = new FileLane(0);
  lane.begin(opened, 1, size, -1);
  expect([lane.readAtHand(), lane.isRead]).toEqual([read, isRead]);
  closeSync(opened);
});

test('a full check of files that must come from the disk reads each of them, and finds the one that differs', async () => {
  const root = makeImage();
  const paths = Array.from({ length: 300 }, (_, i) => `opt/d${i % 7}/file${i}`);
  for (const path of paths) writeTo(root, path, `content of ${path}`.repeat(500));
  const image = await seal(root);
  for (const path of paths) forget(join(root, path));
  const { findingsTotal, files, bytes } = await image.checker.full();
  expect({ findingsTotal, files, bytes }).toEqual({
    findingsTotal: 0,
    files: image.manifest.files,
    bytes: image.manifest.bytes,
  });
  writeTo(root, 'opt/d1/file8', 'CONTENT of opt/d1/file8'.repeat(500));
  for (const path of paths) forget(join(root, path));
  expect(await image.found()).toEqual(['modified /opt/d1/file8']);
});

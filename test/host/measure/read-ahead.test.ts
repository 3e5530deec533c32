import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { FADV_DONTNEED, fadvise } from '../../../src/host/kernel/linux.ts';
import { isAtHand } from '../../../src/host/measure/read-ahead.ts';
import { makeImage, seal, writeTo } from '../../system/sealed-image.ts';

/** Takes a file out of the page cache, as far as the file system has one. */
function forget(path: string): void {
  const opened = openSync(path, 'r+');
  fsyncSync(opened);
  fadvise(opened, 0, 0, FADV_DONTNEED);
  closeSync(opened);
}

test('isAtHand says so of what was just written, and of an empty file', () => {
  const root = makeImage();
  writeFileSync(join(root, 'etc/empty'), '');
  for (const [path, size] of [
    ['etc/passwd', 22],
    ['etc/empty', 0],
  ] as const) {
    const opened = openSync(join(root, path), 'r');
    expect(isAtHand(opened, size)).toBe(true);
    closeSync(opened);
  }
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

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { sha256 } from '../../../src/base/digest.ts';
import { IMA_LIST, readImaList } from '../../../src/host/kernel/ima-list.ts';
import { needs } from '../../support/needs.ts';

const AT = '2026-11-25T12:00:00.000Z';

function list(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-ima-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return join(directory, 'list');
}

test('readImaList gives the digest of what the list holds', () => {
  const path = list();
  const content = Buffer.alloc(200_000, 'an entry; ');
  writeFileSync(path, content);
  expect(readImaList(AT, path)).toEqual({ at: AT, bytes: 200_000, digest: sha256(content), whole: true });
});

test('readImaList reads no more than 16 MiB, and says so', () => {
  const path = list();
  writeFileSync(path, '');
  truncateSync(path, 17 * 2 ** 20);
  const digest = sha256(Buffer.alloc(16 * 2 ** 20));
  expect(readImaList(AT, path)).toEqual({ at: AT, bytes: 16 * 2 ** 20, digest, whole: false });
});

test('readImaList is undefined where there is no list', () => {
  expect(readImaList(AT, list())).toBeUndefined();
});

const lacking =
  readImaList(AT) === undefined ? 'a kernel that keeps an IMA list, and leave to read it' : undefined;
needs(lacking)('readImaList reads the start of what the kernel goes on with', async () => {
  const { readFile } = await import('node:fs/promises');
  const first = readImaList(AT);
  const later = await readFile(IMA_LIST);
  expect(first?.digest).toBe(sha256(later.subarray(0, first?.bytes)));
});

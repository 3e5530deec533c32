import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';

import { FsVerityHasher } from '../../src/base/fs-verity.ts';
import { lackingProgram, needs } from '../support/needs.ts';

const BLOCK = 4096;
/** Hashes that fit into a block. */
const FAN = 128;

const withTool = needs(lackingProgram('fsverity', 'fsverity'));

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'sealborn-verity-'));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

/** What `fsverity digest` says of files, each by its path. */
function said(...paths: string[]): string[] {
  return execFileSync('fsverity', ['digest', '--compact', ...paths], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');
}

function digestOf(...pieces: Uint8Array[]): string {
  const hasher = new FsVerityHasher();
  for (const piece of pieces) hasher.update(piece);
  return hasher.digest().toString('hex');
}

/** Content that does not repeat at a power of two. */
function content(size: number): Buffer {
  return Buffer.alloc(size, 'some content, and then some more; ');
}

describe('FsVerityHasher', () => {
  // xfstests, tests/generic/575: files of zeros with none, one and two levels of hashes.
  test.each([
    [0, '3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95'],
    [4096, 'babc284ee4ffe7f449377fbf6692715b43aec7bc39c094a95878904d34bac97e'],
    [65_536, '011e3f2b1dc89b75d78cddcc2a1b85cd8a64b2883e5f20f277ae4c0617e0404f'],
  ])("gives the kernel's own test suite's digest of %i zeros", (size, digest) => {
    expect(digestOf(Buffer.alloc(size))).toBe(digest);
  });

  const edges = [0, 1, BLOCK, 2 * BLOCK, FAN * BLOCK, (FAN + 1) * BLOCK, 2 * FAN * BLOCK];
  const sizes = edges.flatMap((edge) => [edge - 1, edge, edge + 1]).filter((size) => size >= 0);
  withTool('gives what fsverity(1) gives around every edge of a block and of a level', () => {
    const at = directory();
    const paths = sizes.map((size) => {
      writeFileSync(join(at, `${size}`), content(size));
      return join(at, `${size}`);
    });
    const hasher = new FsVerityHasher();
    const ours = sizes.map((size) => {
      hasher.update(content(size));
      return hasher.digest().toString('hex');
    });
    expect(ours).toEqual(said(...paths));
  });

  withTool('gives what fsverity(1) gives for three levels', () => {
    const at = directory();
    for (const size of [FAN * FAN * BLOCK, FAN * FAN * BLOCK + 1]) {
      const path = join(at, 'large');
      writeFileSync(path, 'begin');
      truncateSync(path, size);
      const zeros = Buffer.alloc(1024 * 1024);
      const hasher = new FsVerityHasher();
      hasher.update(Buffer.from('begin'));
      for (let left = size - 5; left > 0; left -= zeros.length) hasher.update(zeros.subarray(0, left));
      expect(hasher.digest().toString('hex')).toBe(said(path)[0]);
    }
  });

  withTool('gives what fsverity(1) gives for any content', () => {
    const path = join(directory(), 'any');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3 * BLOCK }), (bytes) => {
        writeFileSync(path, bytes);
        expect(digestOf(bytes)).toBe(said(path)[0]);
      }),
      { numRuns: 25 },
    );
  });

  test('gives the same however the content is cut', () => {
    const whole = content((FAN + 2) * BLOCK + 77);
    const expected = digestOf(whole);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
        const pieces = places.slice(1).map((to, at) => whole.subarray(places[at], to));
        expect(digestOf(...pieces)).toBe(expected);
      }),
      { numRuns: 30 },
    );
  });

  test('gives another for another byte or another length, zeros at the end included', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 2 * BLOCK }), fc.nat(), (bytes, at) => {
        const changed = Uint8Array.from(bytes);
        changed[at % bytes.length] = (changed[at % bytes.length] ?? 0) ^ 1;
        expect(digestOf(changed)).not.toBe(digestOf(bytes));
        expect(digestOf(bytes, Uint8Array.of(0))).not.toBe(digestOf(bytes));
      }),
      { numRuns: 50 },
    );
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { formatManifest } from '../../src/manifest/format.ts';
import { ManifestError } from '../../src/manifest/manifest-error.ts';
import { parseManifest } from '../../src/manifest/parse.ts';
import { anyTree } from './samples.ts';

const depthFirst = (a: { path: string }, b: { path: string }): number =>
  a.path.replaceAll('/', '\0') < b.path.replaceAll('/', '\0') ? -1 : 1;

describe('formatManifest and parseManifest', () => {
  test('parse gives back every entry that was formatted, in order, for arbitrary byte names', () => {
    fc.assert(
      fc.property(anyTree, (entries) => {
        const manifest = parseManifest(formatManifest(entries));
        expect([...manifest]).toEqual(entries.toSorted(depthFirst));
        expect(manifest.size).toBe(entries.length);
        const files = entries.filter(({ type }) => type === 'file');
        expect(manifest.files).toBe(files.length);
        expect(manifest.fsVerity).toBe(files.filter(({ fsVerity }) => fsVerity !== undefined).length);
        expect(manifest.bytes).toBe(files.reduce((sum, { size }) => sum + (size ?? 0), 0));
      }),
    );
  });

  test('the same entries give the same bytes in whatever order they come', () => {
    fc.assert(
      fc.property(anyTree, (entries) => {
        const once = formatManifest(entries);
        expect(formatManifest(entries.toReversed()).equals(once)).toBe(true);
        expect(formatManifest(parseManifest(once)).equals(once)).toBe(true);
      }),
    );
  });

  test('get finds every listed path, and no other', () => {
    fc.assert(
      fc.property(anyTree, (entries) => {
        const manifest = parseManifest(formatManifest(entries));
        for (const entry of entries) expect(manifest.get(entry.path)).toEqual(entry);
        for (const { path } of entries) {
          const other = `${path}\u0001` as typeof path;
          if (!entries.some((entry) => entry.path === other)) expect(manifest.get(other)).toBeUndefined();
        }
      }),
    );
  });

  test('a changed byte is refused, or reads as a tree with other bytes: no two manifests mean the same', () => {
    fc.assert(
      fc.property(anyTree, fc.nat(), fc.nat(255), (entries, at, byte) => {
        const bytes = formatManifest(entries);
        const place = at % bytes.length;
        if (bytes[place] === byte) return;
        const changed = Buffer.from(bytes);
        changed[place] = byte;
        try {
          const read = parseManifest(changed);
          expect(formatManifest(read).equals(changed)).toBe(true);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(ManifestError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('a manifest cut off anywhere but at the end of a line is refused', () => {
    fc.assert(
      fc.property(anyTree, fc.nat(), (entries, at) => {
        const bytes = formatManifest(entries);
        const length = at % bytes.length;
        if (length > 0 && bytes[length - 1] === 0x0a) return;
        expect(() => parseManifest(bytes.subarray(0, length))).toThrow(ManifestError);
      }),
    );
  });
});

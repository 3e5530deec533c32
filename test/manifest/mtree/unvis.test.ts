import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { unvis } from '../../../src/manifest/mtree/unvis.ts';
import { encodeVis } from '../../../src/manifest/vis.ts';

describe('unvis', () => {
  test.each<[string, string, string]>([
    ['nothing to undo', 'plain.txt', 'plain.txt'],
    ["libarchive's and go-mtree's octal", 'a\\040b\\134\\377\\200', 'a b\\\u00ff\u0080'],
    ['octal of fewer digits', '\\1\\12x', '\u0001\nx'],
    ['octal of one digit before a digit that is not octal', '\\19', '\u00019'],
    ["C's letters", '\\a\\b\\t\\n\\v\\f\\r\\s\\E', '\u0007\b\t\n\v\f\r \u001b'],
    ['control characters', '\\^A\\^[\\^?\\^_', '\u0001\u001b\u007f\u001f'],
    ['meta characters', 'caf\\M-C\\M-)', 'caf\u00c3\u00a9'],
    ['meta control characters', '\\M^?\\M^@\\M^[', '\u00ff\u0080\u009b'],
    ['a no-break space, as NetBSD writes it', 'nbsp\\240', 'nbsp\u00a0'],
    ['hexadecimal', '\\x41\\xfF', 'A\u00ff'],
    ['a backslash before a mark', '\\#\\\\\\*\\?\\[\\=\\-', '#\\*?[=-'],
  ])('undoes %s', (_, text, expected) => {
    expect(unvis(text)).toBe(expected);
  });

  test.each<[string, string]>([
    ['a backslash at the end', 'a\\'],
    ['a letter without meaning', '\\q'],
    ['a NUL', '\\0'],
    ['a NUL of three digits', '\\000'],
    ['a NUL as a control character', '\\^@'],
    ['a number over 255', '\\400'],
    ['half a meta character', '\\M'],
    ['half a control character', '\\^'],
    ['a hidden mark', '\\$'],
    ['hexadecimal without digits', '\\xg'],
  ])('refuses %s', (_, text) => {
    expect(unvis(text)).toBeUndefined();
  });

  test('undoes what our own writer does, for any bytes', () => {
    const bytes = fc
      .uint8Array({ maxLength: 64 })
      .map((array) => Buffer.from(array.map((byte) => byte || 1)));
    fc.assert(
      fc.property(bytes, (raw) => {
        const name = raw.toString('latin1');
        expect(unvis(encodeVis(name))).toBe(name);
      }),
    );
  });
});

import { describe, expect, test } from 'vitest';

import { sha256 } from '../../src/base/digest.ts';
import { compareEntry, missingFinding, unexpectedFinding } from '../../src/manifest/compare.ts';
import type { Entry } from '../../src/manifest/entry.ts';
import { SOME_DIGEST, dir, file, link } from './samples.ts';

const AT = '2026-01-02T03:04:05.000Z';

const words = (expected: Entry, actual: Entry): string[] =>
  compareEntry(expected, actual, AT).map(({ kind, expected, actual }) => `${kind}: ${expected} -> ${actual}`);

describe('compareEntry', () => {
  test('finds nothing where all agrees', () => {
    const xattrs = new Map([['user.x', Buffer.from('y')]]);
    expect(compareEntry(file('a', { xattrs }), file('a', { xattrs: new Map(xattrs) }), AT)).toEqual([]);
    expect(compareEntry(dir('a'), dir('a', { nlink: 9 }), AT)).toEqual([]);
  });

  test('says path, kind, both sides and the time', () => {
    const other = sha256('other');
    expect(compareEntry(file('etc/motd'), file('etc/motd', { sha256: other }), AT)).toEqual([
      {
        path: '/etc/motd',
        kind: 'modified',
        expected: `size=7 sha256=${SOME_DIGEST}`,
        actual: `size=7 sha256=${other}`,
        at: AT,
      },
    ]);
  });

  test('takes a size that differs for modified without a digest', () => {
    const { sha256: _, ...unread } = file('a', { size: 8 });
    expect(words(file('a'), unread)).toEqual([`modified: size=7 sha256=${SOME_DIGEST} -> size=8`]);
  });

  test('takes a file whose content was not read for modified, though its size agrees', () => {
    const { sha256: _, ...unread } = file('a');
    expect(words(file('a'), unread)).toEqual([`modified: size=7 sha256=${SOME_DIGEST} -> size=7`]);
  });

  test.each<[string, Partial<Entry>, string]>([
    ['mode', { mode: 0o4755 }, 'metadata: mode=0644 -> mode=4755'],
    ['owner', { uid: 1, gid: 2 }, 'metadata: uid=0 gid=0 -> uid=1 gid=2'],
    ['link count', { nlink: 2 }, 'metadata: nlink=1 -> nlink=2'],
    [
      'attribute',
      { xattrs: new Map([['security.capability', Buffer.from('cap')]]) },
      'metadata:  -> xattr.security.capability=Y2Fw',
    ],
  ])('shows only what differs: %s', (_, change, finding) => {
    expect(words(file('a'), file('a', change))).toEqual([finding]);
  });

  test('tells link targets apart that are the same text when decoded', () => {
    expect(words(link('a', '\u00ff'), link('a', '\u00fe'))).toEqual(['modified: link=\\xff -> link=\\xfe']);
  });

  test('reports another type alone', () => {
    expect(words(file('a'), { ...dir('a'), type: 'fifo', nlink: 1 })).toEqual([
      'type: type=file -> type=fifo mode=0755 uid=0 gid=0',
    ]);
  });

  test('cuts a long attribute and says its length', () => {
    const xattrs = new Map([['user.x', Buffer.alloc(60_000)]]);
    expect(words(file('a'), file('a', { xattrs }))[0]).toMatch(/^metadata: .{0,400}… \(60000 bytes\)$/u);
  });
});

describe('missingFinding and unexpectedFinding', () => {
  test('say how much went with a directory, and what came', () => {
    expect(missingFinding(dir('etc'), 12, AT)).toMatchObject({
      kind: 'missing',
      expected: 'type=dir mode=0755 uid=0 gid=0 and 12 below it',
      actual: 'nothing',
    });
    expect(unexpectedFinding(link('a\nb', '/tmp/x'), AT)).toMatchObject({
      path: '/a\\nb',
      kind: 'unexpected',
      expected: '',
      actual: 'type=link mode=0777 uid=0 gid=0 link=/tmp/x',
    });
  });
});

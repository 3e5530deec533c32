import { describe, expect, test } from 'vitest';

import { formatManifest } from '../../src/manifest/format.ts';
import { ManifestError } from '../../src/manifest/manifest-error.ts';
import { SOME_DIGEST, dir, file, link, path } from './samples.ts';

describe('formatManifest', () => {
  test('writes one line an entry, directories before their content, siblings by bytes', () => {
    const device = { path: path('null'), type: 'char', mode: 0o666, uid: 0, gid: 0, nlink: 1 } as const;
    const text = formatManifest([
      file('usr-x', { mode: 0o4755, xattrs: new Map([['user.k=v', Buffer.from('hi')]]) }),
      file('usr/bin/a b', { uid: 5, gid: 6 }),
      dir('usr/bin'),
      dir('usr'),
      link('lib', 'usr/l\u00efb'),
      { ...device, rdev: { major: 1, minor: 3 } },
      dir(''),
    ]).toString('latin1');
    expect(text).toBe(
      [
        '#mtree v2.0',
        '# sealborn-manifest 1',
        '. type=dir mode=0755 uid=0 gid=0',
        './lib type=link mode=0777 uid=0 gid=0 nlink=1 link=usr/l\\357b',
        './null type=char mode=0666 uid=0 gid=0 nlink=1 device=native,1,3',
        './usr type=dir mode=0755 uid=0 gid=0',
        './usr/bin type=dir mode=0755 uid=0 gid=0',
        `./usr/bin/a\\040b type=file mode=0644 uid=5 gid=6 nlink=1 size=7 sha256digest=${SOME_DIGEST}`,
        `./usr-x type=file mode=4755 uid=0 gid=0 nlink=1 size=7 sha256digest=${SOME_DIGEST} xattr.user.k\\075v=aGk=`,
        '',
      ].join('\n'),
    );
  });

  test('refuses an entry that lacks what its type needs', () => {
    const { sha256: _, ...unread } = file('a');
    expect(() => formatManifest([dir(''), unread])).toThrow(ManifestError);
  });
});

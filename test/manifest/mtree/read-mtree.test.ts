import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { formatManifest } from '../../../src/manifest/format.ts';
import { ManifestError } from '../../../src/manifest/manifest-error.ts';
import { coverageOf } from '../../../src/manifest/mtree/coverage.ts';
import { DIGEST_NAMES, type Stated, listedPath, walkListing } from '../../../src/manifest/mtree/listing.ts';
import { readMtree } from '../../../src/manifest/mtree/read-mtree.ts';
import { anyTree } from '../samples.ts';

const MD5 = 'd41d8cd98f00b204e9800998ecf8427e';
const SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const bytesOf = (...lines: string[]): Buffer =>
  Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1');

/** What is stated, by path; a directory that is only on the way to others: null. */
function read(...lines: string[]): Record<string, Stated | null> {
  const listing = readMtree(bytesOf(...lines));
  return Object.fromEntries(
    [...walkListing(listing)].map((entry) => [listedPath(entry), entry.stated ?? null]),
  );
}

/** What one line states about a file. */
function stated(words: string): Stated {
  return read('. type=dir', `f ${words}`)['f'] ?? {};
}

function refusal(bytes: Uint8Array): string {
  try {
    readMtree(bytes);
  } catch (thrown) {
    if (thrown instanceof ManifestError) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
  throw new Error('the manifest was accepted');
}

describe('readMtree', () => {
  test("reads NetBSD's relative form: /set, names, continued lines, .. and comments", () => {
    expect(
      read(
        '#\t   user: (null)',
        '#\t   tree: /tmp/t',
        '',
        '# .',
        '/set type=file uid=0 gid=0 mode=0644 nlink=1 flags=none',
        '.               type=dir mode=0755 nlink=3',
        '    a\\sb        size=3 \\',
        `                sha256=${SHA256}`,
        '    lnk         type=link mode=0777 link=a\\sb\\s\\#\\s\\\\',
        '',
        '# ./sub',
        'sub             type=dir mode=0755 nlink=2',
        '    f           nlink=2 size=0',
        '# ./sub',
        '..',
        '',
        '    last        size=9',
      ),
    ).toEqual({
      '': { type: 'dir', uid: 0, gid: 0, mode: 0o755, nlink: 3, unchecked: ['flags'] },
      'a b': {
        type: 'file',
        uid: 0,
        gid: 0,
        mode: 0o644,
        nlink: 1,
        size: 3,
        sha256: SHA256,
        unchecked: ['flags'],
      },
      last: { type: 'file', uid: 0, gid: 0, mode: 0o644, nlink: 1, size: 9, unchecked: ['flags'] },
      lnk: { type: 'link', uid: 0, gid: 0, mode: 0o777, nlink: 1, link: 'a b # \\', unchecked: ['flags'] },
      sub: { type: 'dir', uid: 0, gid: 0, mode: 0o755, nlink: 2, unchecked: ['flags'] },
      'sub/f': { type: 'file', uid: 0, gid: 0, mode: 0o644, nlink: 2, size: 0, unchecked: ['flags'] },
    });
  });

  test("reads bsdtar's full paths in any order, and directories that it does not list", () => {
    expect(
      read(
        '#mtree',
        './usr/bin/env uid=0 type=file size=1',
        './usr/share type=dir',
        './usr/share/a\\040b type=file',
      ),
    ).toEqual({
      '': null,
      usr: null,
      'usr/bin': null,
      'usr/bin/env': { uid: 0, type: 'file', size: 1 },
      'usr/share': { type: 'dir' },
      'usr/share/a b': { type: 'file' },
    });
  });

  test("reads bsdtar's mtree-classic, which closes the root as well", () => {
    expect(
      Object.keys(read('#mtree', '.  type=dir', '    a  type=file', 'd  type=dir', '..', '', '..', '')),
    ).toEqual(['', 'a', 'd']);
  });

  test('reads mtree -D, where the path stands last, also of a name that looks like a keyword', () => {
    expect(read('type=dir mode=0755 .', 'type=file mode=04755 size=3 ./a\\sb', 'type=file ./e=q')).toEqual({
      '': { type: 'dir', mode: 0o755 },
      'a b': { type: 'file', mode: 0o4755, size: 3 },
      'e=q': { type: 'file' },
    });
    expect(Object.keys(read('. type=dir', 'size=1 type=file'))).toEqual(['', 'size=1']);
  });

  test("reads go-mtree's: tar_time, attributes in base64, other names of digests", () => {
    expect(
      stated(
        `type=file tar_time=12.000000000 xattr.user.a=AAE= xattrs.user.b= md5digest=${MD5} ripemd160digest=${'a'.repeat(40)}`,
      ),
    ).toEqual({
      type: 'file',
      time: { seconds: 12 },
      xattrs: new Map([
        ['user.a', 'AAE='],
        ['user.b', ''],
      ]),
      md5: MD5,
      rmd160: 'a'.repeat(40),
    });
  });

  test.each<[string, Stated]>([
    ['mode=755', { mode: 0o755 }],
    ['mode=04755', { mode: 0o4755 }],
    ['mode=u=rwx,go=rx', { mode: 0o755 }],
    ['mode=a=r,u+ws,o+t', { mode: 0o5644 }],
    ['mode=ug=rw,o=g-w', { mode: 0o664 }],
    ['mode=u=x,a+X', { mode: 0o111 }],
    ['time=5', { time: { seconds: 5 } }],
    ['time=5.15000000', { time: { seconds: 5, nanoseconds: 15_000_000 } }],
    ['time=5.000000007 tar_time=5.000000000', { time: { seconds: 5, nanoseconds: 7 } }],
    ['tar_time=5.000000000 time=5.000000007', { time: { seconds: 5, nanoseconds: 7 } }],
    ['time=-1.000000001', { time: { seconds: -1, nanoseconds: 1 } }],
    ['device=native,8,1', { device: { major: 8, minor: 1 } }],
    ['device=linux,8,0x10', { device: { major: 8, minor: 16 } }],
    ['device=0x103', { device: { major: 1, minor: 3 } }],
    ['device=2049', { device: { major: 8, minor: 1 } }],
    ['device=0xffffff', { device: { major: 0xfff, minor: 0xfff } }],
    ['device=freebsd,8,1', { unchecked: ['device'] }],
    ['device=bsdos,8,1,2', { unchecked: ['device'] }],
    ['uname=ro\\157t gname=wheel', { uname: 'root', gname: 'wheel' }],
    [`sha256digest=0x${SHA256.toUpperCase()}`, { sha256: SHA256 }],
    [`sha512256=${SHA256}`, { sha512256: SHA256 }],
    ['cksum=4294967295', { cksum: 4_294_967_295 }],
    ['optional nochange ignore', { optional: true, nochange: true, ignore: true }],
    [
      'tags=a,b inode=5 resdevice=native,1,2 contents=/x content=y',
      { unchecked: ['tags', 'inode', 'resdevice', 'contents'] },
    ],
    ['acl=user::rw opaque', { unchecked: ['acl', 'opaque'] }],
    ['constructor=1 toString', { unchecked: ['constructor', 'toString'] }],
    ['xattr.trusted.overlay=eQ==', { unchecked: ['xattr.trusted.*'] }],
  ])('reads %s', (words, expected) => {
    expect(stated(words)).toEqual(expected);
  });

  test('keeps what /set says until /unset, and an entry of its own says otherwise', () => {
    expect(
      read(
        '. type=dir',
        `/set type=file mode=0600 sha256digest=${SHA256} flags=none xattr.user.a=AA==`,
        'a mode=0644',
        '/unset mode sha256 flags xattr.user.a',
        'b',
        '/unset all',
        'c',
      ),
    ).toEqual({
      '': { type: 'dir' },
      a: {
        type: 'file',
        mode: 0o644,
        sha256: SHA256,
        unchecked: ['flags'],
        xattrs: new Map([['user.a', 'AA==']]),
      },
      b: { type: 'file', unchecked: [], xattrs: new Map() },
      c: {},
    });
  });

  test('lets the later of two lines about one path count, for each keyword', () => {
    expect(
      read('. type=dir', './a type=file mode=0600 uid=1', './a type=file mode=0644', './/./a gid=5'),
    ).toEqual({
      '': { type: 'dir' },
      a: { type: 'file', mode: 0o644, uid: 1, gid: 5 },
    });
  });

  test('takes what others lie below for a directory where no type is stated', () => {
    expect(read('.', './a', './a/b type=file')).toEqual({
      '': { type: 'dir' },
      a: { type: 'dir' },
      'a/b': { type: 'file' },
    });
  });

  test("reads NetBSD's escapes that end with a backslash or a comment sign", () => {
    expect(
      Object.keys(
        read(
          '. type=dir',
          'a\\M-#b type=file # comment',
          '\\M-# type=file',
          '\\^\\\\# type=file',
          'x\\^\\',
          'y\\\\',
        ),
      ),
    ).toEqual(['', '\u001c#', 'a\u00a3b', 'x\u001c', 'y\\', '\u00a3']);
    expect(refusal(bytesOf('. type=dir', '\\\\M-# type=file'))).toMatch('inside a word');
  });

  test("reads go-mtree's relative form", () => {
    expect(
      read(
        '#          user: root',
        '',
        '# .',
        '/set type=file nlink=1 mode=0664 uid=0 gid=0',
        '. size=4096 type=dir mode=0755 nlink=3 time=5.015166998',
        '    st\\052r\\133x]\\077 size=2 mode=0644 xattr.user.a=eHl6',
        '    lnk size=7 type=link mode=0777 link=a\\040b\\040\\043\\040\\\\',
        '',
        '# sub',
        'sub size=4096 type=dir mode=0755 nlink=2',
        '    f size=0',
        '..',
        '..',
      ),
    ).toEqual({
      '': {
        type: 'dir',
        nlink: 3,
        mode: 0o755,
        uid: 0,
        gid: 0,
        size: 4096,
        time: { seconds: 5, nanoseconds: 15_166_998 },
      },
      lnk: { type: 'link', nlink: 1, mode: 0o777, uid: 0, gid: 0, size: 7, link: 'a b # \\' },
      'st*r[x]?': {
        type: 'file',
        nlink: 1,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 2,
        xattrs: new Map([['user.a', 'eHl6']]),
      },
      sub: { type: 'dir', nlink: 2, mode: 0o755, uid: 0, gid: 0, size: 4096 },
      'sub/f': { type: 'file', nlink: 1, mode: 0o664, uid: 0, gid: 0, size: 0 },
    });
  });

  test('reads a directory of very many entries, and no more than a million', () => {
    const names = (count: number): Buffer =>
      Buffer.from(`. type=dir\n${Array.from({ length: count }, (_, at) => `${at}\n`).join('')}`);
    const listing = readMtree(names(150_000));
    expect(listing.entries).toBe(150_001);
    expect([...walkListing(listing)]).toHaveLength(150_001);
    expect(refusal(names(1_000_000))).toMatch(/^mtree-too-large: .* more than 1000000 entries$/);
  });

  test('counts names that another reader would take for patterns', () => {
    const patterns = (name: string): number =>
      readMtree(bytesOf('. type=dir', `${name} type=file`)).patternLike;
    expect(['a*', 'a[b]', 'a?', '\\^[[x'].map(patterns)).toEqual([1, 1, 1, 1]);
    expect(['a\\*', 'a\\133', '\\^[', '\\M-[', '\\M^['].map(patterns)).toEqual([0, 0, 0, 0, 0]);
  });

  test.each<[string, string, string[]]>([
    ['nothing', 'mtree-empty', []],
    ['comments alone', 'mtree-empty', ['#mtree', '', '/set type=file']],
    ['a root whose content is ignored', 'mtree-empty', ['. type=dir ignore']],
    ['".." inside a path', 'mtree-path-escapes: mtree manifest line 2', ['. type=dir', './a/../b type=file']],
    ['".." inside a path, escaped', 'mtree-path-escapes', ['. type=dir', './a/\\056\\056/b type=file']],
    ['".." above the root', 'mtree-path-escapes: mtree manifest line 3', ['. type=dir', '..', '..']],
    [
      'a name above the root',
      'mtree-path-escapes: mtree manifest line 3',
      ['. type=dir', '..', 'a type=file'],
    ],
    ['a bad escape in a path', 'mtree-path-invalid', ['. type=dir', 'a\\q type=file']],
    ['a NUL in a path', 'mtree-path-invalid', ['. type=dir', 'a\\000b type=file']],
    ['a name that is too long', 'mtree-path-invalid', ['. type=dir', `${'a'.repeat(256)} type=file`]],
    ['a path that is too long', 'mtree-path-invalid', ['. type=dir', `./${'a/'.repeat(8200)}b type=file`]],
    ['a path that is too deep', 'mtree-too-large', ['. type=dir', `./${'a/'.repeat(2048)}b type=file`]],
    [
      'two types of one path',
      'mtree-conflict: mtree manifest line 3',
      ['. type=dir', './a type=file', './a type=dir'],
    ],
    [
      'an entry below a file',
      'mtree-below-non-directory: mtree manifest line 2',
      ['. type=dir', './a type=file', './a/b'],
    ],
    [
      'an entry below a file that comes later',
      'mtree-below-non-directory',
      ['. type=dir', './a/b', './a type=file'],
    ],
    [
      'a name after a path that leads elsewhere',
      'mtree-ambiguous: mtree manifest line 3',
      ['. type=dir', './a/b type=file', 'c type=file'],
    ],
    ['".." after a path that leads elsewhere', 'mtree-ambiguous', ['. type=dir', './a type=dir', '..']],
    ['words after ".."', 'mtree-syntax', ['. type=dir', '.. type=dir']],
    ['a "#" inside a word', 'mtree-syntax: mtree manifest line 2', ['. type=dir', 'a#b type=file']],
    ['lines that end with CR LF', 'mtree-syntax: mtree manifest line 1', ['. type=dir\r']],
    ['an unknown type', 'mtree-syntax', ['. type=dir', 'a type=door']],
    ['a mode over 7777', 'mtree-syntax', ['. type=dir', 'a mode=0100644']],
    ['a mode that depends on the umask', 'mtree-syntax', ['. type=dir', 'a mode=+x']],
    ['a mode that is none', 'mtree-syntax', ['. type=dir', 'a mode=u=rwz']],
    ['a size that is no number', 'mtree-syntax', ['. type=dir', 'a size=-1']],
    ['a size that is not exact', 'mtree-syntax', ['. type=dir', 'a size=9007199254740993']],
    ['a digest of another length', 'mtree-syntax', ['. type=dir', `a sha256=${MD5}`]],
    ['a digest that is not hexadecimal', 'mtree-syntax', ['. type=dir', `a md5=${'g'.repeat(32)}`]],
    ['a time that is none', 'mtree-syntax', ['. type=dir', 'a time=1.2.3']],
    ['a fraction finer than nanoseconds', 'mtree-syntax', ['. type=dir', 'a time=1.1234567890']],
    ['a device that is none', 'mtree-syntax', ['. type=dir', 'a device=native,8']],
    ['a keyword without its value', 'mtree-syntax', ['. type=dir', 'a size']],
    ['an empty value', 'mtree-syntax', ['. type=dir', 'a link=']],
    ['a value where none may be', 'mtree-syntax', ['. type=dir', 'a optional=1']],
    ['"all" outside /unset', 'mtree-syntax', ['. type=dir', 'a all']],
    ['an attribute that is not base64', 'mtree-syntax', ['. type=dir', 'a xattr.user.x=!']],
    [
      'more attributes than a file can have',
      'mtree-too-large',
      ['. type=dir', `a ${Array.from({ length: 257 }, (_, i) => `xattr.user.${i}=`).join(' ')}`],
    ],
    ['a line that is too long', 'mtree-too-large', ['. type=dir', `a uname=${'x'.repeat(1024 * 1024)}`]],
    [
      'continued lines that are too long together',
      'mtree-too-large',
      ['. type=dir', ...Array.from({ length: 5 }, () => `${'x'.repeat(300_000)} \\`), ''],
    ],
    [
      'a text that is no manifest',
      'mtree-syntax',
      ['. type=dir', `a ${Array.from({ length: 65 }, (_, i) => `word${i}`).join(' ')}`],
    ],
  ])('refuses %s', (_, expected, lines) => {
    expect(refusal(bytesOf(...lines)).slice(0, expected.length)).toBe(expected);
  });

  test('names the first of the lines that are one', () => {
    expect(refusal(bytesOf('. type=dir', 'a \\', '  mode=0644 \\', '  size=x'))).toMatch(
      'mtree manifest line 2:',
    );
  });

  test('refuses a manifest that was cut off', () => {
    expect(refusal(Buffer.from('. type=dir\na size=12'))).toMatch(
      /^mtree-syntax: .* line 2: the last line has no end/,
    );
    expect(refusal(Buffer.from('. type=dir\na size=12 \\\n'))).toMatch(/^mtree-syntax: .* none follows/);
  });

  test('reads every manifest that our own writer makes, for arbitrary byte names', () => {
    fc.assert(
      fc.property(anyTree, (entries) => {
        const listing = readMtree(formatManifest(entries));
        expect(listing.entries).toBe(entries.length);
        const stated = new Map([...walkListing(listing)].map((entry) => [listedPath(entry), entry.stated]));
        for (const { path, type, mode, uid, gid, nlink, size, sha256, link, rdev, xattrs } of entries) {
          const wanted = { type, mode, uid, gid, nlink, size, sha256, link, device: rdev };
          const seen = stated.get(path);
          expect(seen).toMatchObject(
            Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)),
          );
          const open = [...(xattrs ?? [])].filter(([name]) => !name.startsWith('trusted.'));
          expect(seen?.xattrs?.size ?? 0).toBe(open.length);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('coverageOf', () => {
  test('names every keyword that is compared and every one that is not, and why', () => {
    const listing = readMtree(
      bytesOf(
        '/set flags=none',
        '. type=dir size=4096 mode=0755',
        `./a type=file size=1 sha256=${SHA256} device=1`,
        './b type=file size=1 acl=x',
        './c type=char device=native,1,3',
        './d type=dir ignore',
        `./e type=file md5=${MD5} nochange`,
        `./f type=file rmd160=${'a'.repeat(40)}`,
        './g/h type=link link=x',
      ),
    );
    expect(coverageOf(listing, new Set(DIGEST_NAMES.filter((name) => name !== 'rmd160')))).toEqual({
      compared: { type: 7, mode: 1, size: 2, sha256: 1, device: 1, link: 1 },
      unchecked: [
        { keyword: 'flags', entries: 8, why: 'file flags (chflags) are not read' },
        { keyword: 'size of directories', entries: 1, why: 'a matter of the file system' },
        { keyword: 'device', entries: 1, why: 'numbers of another system, or of what is no device' },
        { keyword: 'acl', entries: 1, why: 'not a keyword that this program knows' },
        { keyword: 'ignore', entries: 1, why: 'what lies below was not looked at' },
        { keyword: 'nochange', entries: 1, why: 'that it is there was compared, and no more' },
        { keyword: 'rmd160', entries: 1, why: "this machine's OpenSSL does not make it" },
      ],
      filesWithoutDigest: 2,
      unlistedDirectories: 1,
    });
  });
});

import { describe, expect, test } from 'vitest';

import { MANIFEST_HEADER, formatManifest } from '../../src/manifest/format.ts';
import { MAX_ENTRIES, MAX_MANIFEST_BYTES } from '../../src/manifest/limits.ts';
import { ManifestError } from '../../src/manifest/manifest-error.ts';
import { parseManifest } from '../../src/manifest/parse.ts';
import { SOME_DIGEST, dir, file, link } from './samples.ts';

const ROOT = '. type=dir mode=0755 uid=0 gid=0';
const fileLine = (path: string): string =>
  `${path} type=file mode=0644 uid=0 gid=0 nlink=1 size=7 sha256digest=${SOME_DIGEST}`;
const dirLine = (path: string): string => `${path} type=dir mode=0755 uid=0 gid=0`;

const manifestOf = (...lines: string[]): Buffer =>
  Buffer.from(`${MANIFEST_HEADER}${lines.map((line) => `${line}\n`).join('')}`, 'latin1');

const verityLine = (digest: string): string => `${fileLine('./a')} tags=fsverity:sha256:${digest}`;

function refusal(bytes: Uint8Array): { code: string; message: string } {
  try {
    parseManifest(bytes);
  } catch (thrown) {
    if (thrown instanceof ManifestError) return { code: thrown.code, message: thrown.message };
    throw thrown;
  }
  throw new Error('the manifest was accepted');
}

describe('parseManifest', () => {
  test('reads what is written by hand in the one spelling', () => {
    const manifest = parseManifest(
      manifestOf(ROOT, fileLine('./a\\040b'), `./z type=link mode=0777 uid=0 gid=0 nlink=1 link=a\\040b`),
    );
    expect([...manifest]).toEqual([dir(''), file('a b'), link('z', 'a b')]);
  });

  test.each<[string, string, string[]]>([
    ['".." inside a path', 'manifest-path-escapes', [ROOT, fileLine('./a/../b')]],
    ['".." at the start', 'manifest-path-escapes', [ROOT, fileLine('../b')]],
    ['".." at the end', 'manifest-path-escapes', [ROOT, dirLine('./..')]],
    ['".." alone, as the relative form of mtree has it', 'manifest-path-escapes', [ROOT, '..']],
    ['an absolute path', 'manifest-path-absolute', [ROOT, fileLine('/etc/passwd')]],
    ['a /set line', 'manifest-path-absolute', ['/set type=file', ROOT]],
    ['a duplicate next to its first', 'manifest-duplicate', [ROOT, fileLine('./a'), fileLine('./a')]],
    [
      'a duplicate far from its first',
      'manifest-duplicate',
      [ROOT, fileLine('./a'), dirLine('./b'), fileLine('./b/c'), fileLine('./a')],
    ],
    ['the root twice', 'manifest-duplicate', [ROOT, ROOT, fileLine('./a')]],
    [
      'an entry below a link',
      'manifest-below-non-directory',
      [ROOT, './a type=link mode=0777 uid=0 gid=0 nlink=1 link=b', fileLine('./a/x')],
    ],
    ['an entry below a file', 'manifest-below-non-directory', [ROOT, fileLine('./a'), fileLine('./a/x')]],
    ['a directory that is not listed', 'manifest-parent-missing', [ROOT, fileLine('./a/x')]],
    [
      'a directory listed after what it holds',
      'manifest-parent-missing',
      [ROOT, fileLine('./a/x'), dirLine('./a')],
    ],
    ['no root', 'manifest-parent-missing', [fileLine('./a')]],
    ['siblings out of order', 'manifest-order', [ROOT, fileLine('./b'), fileLine('./a')]],
    [
      'content after its next sibling',
      'manifest-order',
      [ROOT, dirLine('./a'), fileLine('./a-b'), fileLine('./a/x')],
    ],
    ['a root that is no directory', 'manifest-syntax', [fileLine('.')]],
    ['an unknown keyword', 'manifest-unknown-keyword', [ROOT, `${fileLine('./a')} flags=none`]],
    [
      'an unknown keyword in between',
      'manifest-unknown-keyword',
      [ROOT, './a type=file flags=none mode=0644'],
    ],
    ['keywords in another order', 'manifest-syntax', [ROOT, './a mode=0644 type=file uid=0 gid=0']],
    ['a keyword twice', 'manifest-syntax', [ROOT, `${dirLine('./a')} gid=0`]],
    ['a keyword missing', 'manifest-syntax', [ROOT, './a type=file mode=0644 uid=0 gid=0 nlink=1 size=7']],
    ['a type that is not known', 'manifest-syntax', [ROOT, dirLine('./a').replace('dir', 'door')]],
    ['a leading zero', 'manifest-syntax', [ROOT, fileLine('./a').replace('uid=0', 'uid=00')]],
    ['a sign', 'manifest-syntax', [ROOT, fileLine('./a').replace('uid=0', 'uid=-1')]],
    [
      'a number beyond 32 bits',
      'manifest-syntax',
      [ROOT, fileLine('./a').replace('uid=0', 'uid=4294967296')],
    ],
    [
      'a size beyond 2^53',
      'manifest-syntax',
      [ROOT, fileLine('./a').replace('size=7', 'size=9007199254740992')],
    ],
    ['no link at all', 'manifest-syntax', [ROOT, fileLine('./a').replace('nlink=1', 'nlink=0')]],
    ['three digits of mode', 'manifest-syntax', [ROOT, fileLine('./a').replace('0644', '644')]],
    ['an eight in the mode', 'manifest-syntax', [ROOT, fileLine('./a').replace('0644', '0648')]],
    [
      'a digest in upper case',
      'manifest-syntax',
      [ROOT, fileLine('./a').replace(SOME_DIGEST, SOME_DIGEST.toUpperCase())],
    ],
    ['a digest cut short', 'manifest-syntax', [ROOT, fileLine('./a').slice(0, -1)]],
    ['a digest too long', 'manifest-syntax', [ROOT, `${fileLine('./a')}0`]],
    ['an fs-verity digest in upper case', 'manifest-syntax', [ROOT, verityLine(SOME_DIGEST.toUpperCase())]],
    ['another tag', 'manifest-syntax', [ROOT, `${fileLine('./a')} tags=a`]],
    ['an fs-verity digest cut short', 'manifest-syntax', [ROOT, verityLine(SOME_DIGEST.slice(1))]],
    ['an fs-verity digest of zeros', 'manifest-syntax', [ROOT, verityLine('0'.repeat(64))]],
    [
      'an fs-verity digest of a link',
      'manifest-syntax',
      [ROOT, `./a type=link mode=0777 uid=0 gid=0 nlink=1 tags=fsverity:sha256:${SOME_DIGEST} link=b`],
    ],
    [
      'two fs-verity digests',
      'manifest-syntax',
      [ROOT, `${verityLine(SOME_DIGEST)} tags=fsverity:sha256:${SOME_DIGEST}`],
    ],
    ['an escape of a plain byte', 'manifest-syntax', [ROOT, fileLine('./\\141')]],
    ['an escaped slash', 'manifest-syntax', [ROOT, fileLine('./a\\057b')]],
    ['escaped dots', 'manifest-syntax', [ROOT, fileLine('./\\056\\056')]],
    ['an escaped NUL', 'manifest-syntax', [ROOT, fileLine('./a\\000b')]],
    ['a raw NUL', 'manifest-syntax', [ROOT, fileLine('./a\0b')]],
    ['a raw byte above ASCII', 'manifest-syntax', [ROOT, fileLine('./\u00e9')]],
    ['an escape cut short', 'manifest-syntax', [ROOT, fileLine('./a\\04')]],
    ['an escape beyond a byte', 'manifest-syntax', [ROOT, fileLine('./a\\440')]],
    ['a C escape', 'manifest-syntax', [ROOT, fileLine('./a\\n')]],
    ['an empty component', 'manifest-path-invalid', [ROOT, fileLine('./a//b')]],
    ['a "." component', 'manifest-path-invalid', [ROOT, fileLine('./a/./b')]],
    ['a slash at the end', 'manifest-path-invalid', [ROOT, dirLine('./a/')]],
    ['a path without "./"', 'manifest-path-invalid', [ROOT, fileLine('a')]],
    ['a name of 256 bytes', 'manifest-path-invalid', [ROOT, fileLine(`./${'a'.repeat(256)}`)]],
    ['a path of 20,000 bytes', 'manifest-path-invalid', [ROOT, fileLine(`.${'/abcdefghi'.repeat(2000)}`)]],
    ['an empty line', 'manifest-path-invalid', [ROOT, '', fileLine('./a')]],
    ['a comment', 'manifest-path-invalid', [ROOT, '# hello', fileLine('./a')]],
    ['two spaces', 'manifest-syntax', [ROOT, fileLine('./a').replace(' uid', '  uid')]],
    ['a space at the end', 'manifest-syntax', [ROOT, `${fileLine('./a')} `]],
    ['an attribute of a bad base64', 'manifest-syntax', [ROOT, `${fileLine('./a')} xattr.user.x=AB`]],
    ['attributes out of order', 'manifest-syntax', [ROOT, `${fileLine('./a')} xattr.b=AA== xattr.a=AA==`]],
    ['an attribute without a value', 'manifest-syntax', [ROOT, `${fileLine('./a')} xattr.b`]],
    [
      'a device without a minor',
      'manifest-syntax',
      [ROOT, './a type=char mode=0666 uid=0 gid=0 nlink=1 device=native,1'],
    ],
    [
      'a link without a target',
      'manifest-syntax',
      [ROOT, './a type=link mode=0777 uid=0 gid=0 nlink=1 link='],
    ],
    ['no entry', 'manifest-empty', []],
    ['no file', 'manifest-empty', [ROOT, dirLine('./a')]],
  ])('refuses %s with %s', (_, code, lines) => {
    expect(refusal(manifestOf(...lines)).code).toBe(code);
  });

  test('names the line', () => {
    expect(refusal(manifestOf(ROOT, fileLine('./a'), fileLine('./a'))).message).toContain('line 5');
  });

  test.each([
    ['nothing', '', 'manifest-empty'],
    ['something else', 'PK\u0003\u0004', 'manifest-syntax'],
    ['another version of ours', `#mtree v2.0\n# sealborn-manifest 2\n${ROOT}\n`, 'manifest-version'],
    ['an mtree that is not ours', `#mtree\n${ROOT}\n`, 'manifest-version'],
  ])('refuses %s', (_, text, code) => {
    expect(refusal(Buffer.from(text, 'latin1')).code).toBe(code);
  });

  test('refuses a last line without its end: the file was cut off', () => {
    const whole = manifestOf(ROOT, fileLine('./a'));
    expect(refusal(whole.subarray(0, -1)).code).toBe('manifest-syntax');
  });

  test('refuses a line that is too long without decoding it', () => {
    const value = Buffer.alloc(1_200_000).toString('base64');
    expect(refusal(manifestOf(ROOT, `${fileLine('./a')} xattr.user.x=${value}`)).code).toBe(
      'manifest-too-large',
    );
  });

  test('refuses more bytes than the bound before it looks at them', () => {
    // Only its length is real: the pages are never touched.
    expect(refusal(new Uint8Array(MAX_MANIFEST_BYTES + 1)).code).toBe('manifest-too-large');
  });

  test('refuses more entries than the bound before it reads one', () => {
    const lines = Buffer.alloc(MAX_ENTRIES + 1, '\n');
    expect(refusal(Buffer.concat([Buffer.from(MANIFEST_HEADER), lines])).code).toBe('manifest-too-large');
  });

  test('holds an entry in fewer than 150 bytes, 125,000 of them parsed in well under a second', () => {
    const entries = [dir('')];
    for (let d = 0; d < 2500; d += 1) {
      entries.push(dir(`usr${d}`));
      for (let f = 0; f < 49; f += 1) entries.push(file(`usr${d}/libsomething-${f}.so.1.2`));
    }
    const bytes = formatManifest(entries);
    const before = process.threadCpuUsage();
    const { tree, size } = parseManifest(bytes);
    // Of this thread's own time: the clock on the wall runs on while others have the processor.
    expect(process.threadCpuUsage(before).user / 1e6).toBeLessThan(1.5);
    expect(size).toBe(125_001);
    const held = Object.values(tree)
      .filter((column) => typeof column === 'object')
      .reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(held / size).toBeLessThan(150);
  });
});

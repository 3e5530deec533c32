import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  closeSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import type { Finding } from '../../src/base/finding.ts';
import type { Progress } from '../../src/host/measure/measure-tree.ts';
import { formatManifest } from '../../src/manifest/format.ts';
import { parseManifest } from '../../src/manifest/parse.ts';
import { dir, file, link } from '../manifest/samples.ts';
import { needs } from '../support/needs.ts';
import { rulesWith } from '../support/rules.ts';
import { NO_LOOP_DEVICES, mountLoop } from './loop-device.ts';
import {
  type Sealed,
  NO_MOUNTS,
  NO_ROOT,
  makeImage,
  seal,
  sealedImage,
  temporaryDirectory,
  writeTo,
} from './sealed-image.ts';
import { NET_RAW_CAPABILITY, readAclFor, setXattr, writeThroughMap } from './syscalls.ts';

/** Cases that only root can set up: owners, devices, capabilities, mounts. */
const asRoot = needs(NO_ROOT);

/** Long enough to hash that the file can be changed meanwhile, by a progress report that says so. */
const LARGE = 768 * 1024 * 1024;

describe('attack table: content', () => {
  test('1: content changed, same size and mtime: modified', async () => {
    const image = await sealedImage();
    const path = join(image.root, 'usr/bin/env');
    const { atime, mtime, size } = statSync(path);
    writeFileSync(path, 'CONTENT of usr/bin/env\n');
    utimesSync(path, atime, mtime);
    expect(statSync(path).size).toBe(size);
    expect(await image.found()).toEqual(['modified /usr/bin/env']);
  });

  asRoot('2: replaced by an inode with the same bytes, other mode or owner: metadata', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'new', 'content of etc/passwd\n');
    chmodSync(join(image.root, 'new'), 0o666);
    renameSync(join(image.root, 'new'), join(image.root, 'etc/passwd'));
    writeTo(image.root, 'new', 'content of usr/bin/env\n');
    chownSync(join(image.root, 'new'), 1000, 1000);
    renameSync(join(image.root, 'new'), join(image.root, 'usr/bin/env'));
    expect(await image.found()).toEqual(['metadata /etc/passwd', 'metadata /usr/bin/env']);
  });

  test('2: replaced by an inode that is the same in all that is measured: good', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'new', 'content of etc/passwd\n');
    renameSync(join(image.root, 'new'), join(image.root, 'etc/passwd'));
    expect(await image.found()).toEqual([]);
  });

  test.each<[string, (path: string) => void, string]>([
    ['truncated', (path) => truncateSync(path, LARGE / 2), `size=${LARGE / 2}`],
    ['grown', (path) => appendFileSync(path, 'more'), `size=${LARGE + 4}`],
    ['written to in place', (path) => writeAt(path, LARGE - 10), `size=${LARGE} sha256=`],
    // What was read is what is signed: the inode alone tells.
    ['written to where it was read already,', (path) => writeAt(path, 0), `size=${LARGE} sha256=`],
  ])('3: %s while it is being hashed: read again, modified', async (_, change, actual) => {
    const image = await sealedLarge();
    const { findings, changed } = await checkWhile(image, () => change(join(image.root, 'large')));
    expect(changed).toBe(true);
    expect(findings).toMatchObject([{ kind: 'modified', path: '/large' }]);
    expect(findings[0]?.actual.startsWith(actual)).toBe(true);
  });

  test('3: written to all the time: raced, after three or four reads and no more', async () => {
    const image = await sealedLarge();
    const writer = spawn(process.execPath, ['-e', KEEP_WRITING, join(image.root, 'large')]);
    onTestFinished(() => void writer.kill());
    await once(writer.stdout, 'data');
    const { findings, bytes } = await image.checker.full();
    expect(findings).toMatchObject([{ kind: 'raced', path: '/large' }]);
    // Once as one of two, where this machine hashes so; then alone, three times.
    expect([3 * LARGE, 4 * LARGE]).toContain(bytes);
  });

  test('4: swapped for another file while it is open: modified, never the old verdict', async () => {
    const image = await sealedLarge();
    const other = join(temporaryDirectory(), 'other');
    writeFileSync(other, '');
    truncateSync(other, LARGE);
    writeAt(other, 5);
    const { findings, changed } = await checkWhile(image, () => renameSync(other, join(image.root, 'large')));
    expect(changed).toBe(true);
    expect(findings).toMatchObject([{ kind: 'modified', path: '/large' }]);
  });

  test('9: symbolic link retargeted: modified', async () => {
    const image = await sealedImage();
    unlinkSync(join(image.root, 'usr/bin/python3'));
    symlinkSync('/tmp/python3', join(image.root, 'usr/bin/python3'));
    expect(await image.findings()).toMatchObject([
      {
        kind: 'modified',
        path: '/usr/bin/python3',
        expected: 'link=python3.13',
        actual: 'link=/tmp/python3',
      },
    ]);
  });

  test('10: a parent directory replaced by a link to a copy: type, and nothing read through it', async () => {
    const image = await sealedImage();
    const copy = join(temporaryDirectory(), 'copy');
    cpSync(join(image.root, 'usr/lib'), copy, { recursive: true, preserveTimestamps: true });
    rmSync(join(image.root, 'usr/lib'), { recursive: true });
    symlinkSync(copy, join(image.root, 'usr/lib'));
    expect(await image.findings()).toMatchObject([{ kind: 'type', path: '/usr/lib', expected: 'type=dir' }]);
  });

  test('25: a 40 GB sparse file in place of a small one: modified, without reading it', async () => {
    const image = await sealedImage();
    truncateSync(join(image.root, 'usr/bin/env'), 40 * 2 ** 30);
    const { findings, bytes, seconds } = await image.checker.full();
    expect(findings).toMatchObject([
      { kind: 'modified', path: '/usr/bin/env', actual: `size=${40 * 2 ** 30}` },
    ]);
    expect(bytes).toBeLessThan(10_000);
    expect(seconds).toBeLessThan(5);
  });

  needs(NO_LOOP_DEVICES)(
    '30: block device written below the mounted file system: modified, by reading past the page cache alone',
    async () => {
      const { root, writeBelow } = mountLoop();
      makeImage(root);
      const large = Buffer.alloc(3 * 1024 * 1024 + 17, 'large');
      writeTo(root, 'usr/lib/large', large);
      const image = await seal(root, rulesWith({ mutable: ['/var', '/lost+found'] }));
      expect(await reread(image)).toMatchObject({ found: [], cached: 0 });
      const before = statSync(join(root, 'usr/bin/env'), { bigint: true });
      writeBelow('usr/bin/env', 'CONTENT');
      writeBelow('usr/lib/large', 'X');
      // What is read through the cache is as it was, and so is the inode.
      expect(statSync(join(root, 'usr/bin/env'), { bigint: true }).ctimeNs).toBe(before.ctimeNs);
      expect(await image.found()).toEqual([]);
      expect(await reread(image)).toMatchObject({
        found: ['modified /usr/bin/env', 'modified /usr/lib/large'],
        cached: 0,
      });
    },
  );

  needs(NO_LOOP_DEVICES)(
    '30: mode, owner and size written into inodes below the file system: found by the sweep, whatever their times say',
    async () => {
      const { root, setInodeBelow } = mountLoop();
      makeImage(root);
      const image = await seal(root, rulesWith({ mutable: ['/var', '/lost+found'] }));
      const before = statSync(join(root, 'usr/bin/env'), { bigint: true });
      setInodeBelow('usr/bin/env', 'mode', '0104755');
      setInodeBelow('etc', 'gid', '1000');
      setInodeBelow('etc/passwd', 'size', '5');
      expect(statSync(join(root, 'usr/bin/env'), { bigint: true }).ctimeNs).toBe(before.ctimeNs);
      expect(await image.found()).toEqual(['metadata /etc', 'modified /etc/passwd', 'metadata /usr/bin/env']);
    },
  );

  test('48: written through a memory map: modified', async () => {
    const image = await sealedImage();
    writeThroughMap(join(image.root, 'usr/bin/env'), 0x58, 3);
    expect(await image.found()).toEqual(['modified /usr/bin/env']);
  });
});

describe('attack table: metadata', () => {
  test('11: a hard link at a writable name: metadata', async () => {
    const image = await sealedImage();
    linkSync(join(image.root, 'usr/bin/env'), join(image.root, 'var/log/env'));
    expect(await image.findings()).toMatchObject([
      { kind: 'metadata', path: '/usr/bin/env', expected: 'nlink=1', actual: 'nlink=2' },
    ]);
  });

  test('12: set-user-id and set-group-id bits added: metadata', async () => {
    const image = await sealedImage();
    chmodSync(join(image.root, 'usr/bin/env'), 0o4755);
    chmodSync(join(image.root, 'usr/bin/python3.13'), 0o2755);
    expect(await image.found()).toEqual(['metadata /usr/bin/env', 'metadata /usr/bin/python3.13']);
  });

  asRoot('13: a file capability added: metadata', async () => {
    const image = await sealedImage();
    setXattr(join(image.root, 'usr/bin/env'), 'security.capability', NET_RAW_CAPABILITY);
    const [found] = await image.findings();
    expect(found).toMatchObject({ kind: 'metadata', path: '/usr/bin/env', expected: '' });
    expect(found?.actual).toMatch(/^xattr\.security\.capability=[A-Za-z0-9+/]+=*$/);
  });

  asRoot('13: a capability that the image has is measured, and its loss found', async () => {
    const root = makeImage();
    setXattr(join(root, 'usr/bin/env'), 'security.capability', NET_RAW_CAPABILITY);
    const image = await seal(root);
    execFileSync('cp', [join(root, 'usr/bin/env'), join(root, 'copy')]);
    renameSync(join(root, 'copy'), join(root, 'usr/bin/env'));
    expect(await image.found()).toEqual(['metadata /usr/bin/env']);
  });

  asRoot('14: an ACL added to a file and a directory: metadata', async () => {
    const image = await sealedImage();
    setXattr(join(image.root, 'etc/passwd'), 'system.posix_acl_access', readAclFor(12345));
    setXattr(join(image.root, 'usr/share'), 'system.posix_acl_default', readAclFor(12345));
    const found = await image.findings();
    expect(found.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'metadata /etc/passwd',
      'metadata /usr/share',
    ]);
    expect(found[0]?.actual).toMatch(/^xattr\.system\.posix_acl_access=/);
  });

  needs(NO_MOUNTS)(
    '14: attributes without end: unreadable, and no more of them held than a bound',
    async () => {
      // tmpfs holds as many as there is memory; the kernel bounds each, and the list of names.
      const root = temporaryDirectory();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', root]);
      onTestFinished(() => void execFileSync('umount', [root]));
      const image = await seal(makeImage(root));
      const large = Buffer.alloc(65_536);
      for (let i = 0; i < 7; i += 1) setXattr(join(root, 'usr/bin/env'), `security.${i}`, large);
      expect(await image.found()).toEqual(['metadata /usr/bin/env']);
      expect(await (await seal(root)).found()).toEqual([]);
      for (let i = 7; i < 9; i += 1) setXattr(join(root, 'usr/bin/env'), `security.${i}`, large);
      setXattr(join(root, 'usr'), 'security.one', Buffer.from('1'));
      expect(await image.findings()).toMatchObject([
        { kind: 'metadata', path: '/usr' },
        { kind: 'unreadable', path: '/usr/bin/env', actual: 'E2BIG' },
      ]);
      await expect(seal(root)).rejects.toMatchObject({
        code: 'tree-unreadable',
        hint: expect.stringContaining('extended attributes') as string,
      });
    },
  );

  asRoot('15: owner, group or mode of a file, a directory and a link: metadata', async () => {
    const image = await sealedImage();
    chmodSync(join(image.root, 'etc'), 0o777);
    chownSync(join(image.root, 'etc/pam.d'), 0, 1);
    chownSync(join(image.root, 'etc/pam.d/sshd'), 0, 1);
    chownSync(join(image.root, 'etc/passwd'), 1, 0);
    execFileSync('chown', ['-h', '0:1', join(image.root, 'usr/bin/python3')]);
    expect(await image.findings()).toMatchObject([
      { kind: 'metadata', path: '/etc', expected: 'mode=0755', actual: 'mode=0777' },
      { kind: 'metadata', path: '/etc/pam.d', expected: 'gid=0', actual: 'gid=1' },
      { kind: 'metadata', path: '/etc/pam.d/sshd', expected: 'gid=0', actual: 'gid=1' },
      { kind: 'metadata', path: '/etc/passwd', expected: 'uid=0', actual: 'uid=1' },
      { kind: 'metadata', path: '/usr/bin/python3', expected: 'gid=0', actual: 'gid=1' },
    ]);
  });
});

describe('attack table: entries that come and go', () => {
  test.each([
    [16, 'usr/bin/ls'],
    [17, 'etc/sudoers.d/attacker'],
    [17, 'etc/cron.d/attacker'],
    [17, 'etc/pam.d/attacker'],
    [17, 'etc/profile.d/attacker.sh'],
    [18, 'usr/lib/systemd/system/attacker.service'],
    [18, 'usr/lib/systemd/system-generators/attacker'],
    [20, 'usr/lib/modules/6.1/kernel/fs/attacker.ko'],
  ])('%i: extra file /%s: unexpected', async (_, path) => {
    const image = await sealedImage();
    writeTo(image.root, path, 'extra');
    expect(await image.findings()).toMatchObject([{ kind: 'unexpected', path: `/${path}`, expected: '' }]);
  });

  test('18: a drop-in directory is one finding, whatever it holds', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'usr/lib/systemd/system/ssh.service.d/attacker.conf', 'extra');
    expect(await image.found()).toEqual(['unexpected /usr/lib/systemd/system/ssh.service.d']);
  });

  test('19: /etc/ld.so.preload appears: unexpected, declared absent', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'etc/ld.so.preload', '/tmp/evil.so');
    expect(await image.findings()).toMatchObject([
      { kind: 'unexpected', path: '/etc/ld.so.preload', expected: 'declared absent' },
    ]);
  });

  test('22: a file, a link and a whole directory deleted: missing', async () => {
    const image = await sealedImage();
    rmSync(join(image.root, 'etc/passwd'));
    rmSync(join(image.root, 'usr/bin/python3'));
    rmSync(join(image.root, 'usr/lib/modules'), { recursive: true });
    const found = await image.findings();
    expect(found.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'missing /etc/passwd',
      'missing /usr/bin/python3',
      'missing /usr/lib/modules',
    ]);
    expect(found[2]?.expected).toContain('and 4 below it');
  });

  test('22: a directory moved away and put back: found, then good again', async () => {
    const image = await sealedImage();
    renameSync(join(image.root, 'usr/lib'), join(image.root, 'var/lib'));
    expect(await image.found()).toEqual(['missing /usr/lib']);
    renameSync(join(image.root, 'var/lib'), join(image.root, 'usr/lib'));
    expect(await image.found()).toEqual([]);
  });
});

describe('attack table: what must not be opened', () => {
  test('23: a FIFO in place of a file: type, and no waiting', async () => {
    const image = await sealedImage();
    rmSync(join(image.root, 'usr/bin/env'));
    execFileSync('mkfifo', [join(image.root, 'usr/bin/env')]);
    expect(await image.found()).toEqual(['type /usr/bin/env']);
  });

  asRoot('24: device nodes in place of files: type', async () => {
    const image = await sealedImage();
    for (const [path, ...device] of [
      ['usr/bin/env', 'c', '1', '5'],
      ['etc/passwd', 'b', '7', '200'],
    ]) {
      rmSync(join(image.root, path ?? ''));
      execFileSync('mknod', [join(image.root, path ?? ''), ...device]);
    }
    expect(await image.findings()).toMatchObject([
      { kind: 'type', path: '/etc/passwd', actual: expect.stringContaining('type=block') as string },
      { kind: 'type', path: '/usr/bin/env', actual: expect.stringContaining('device=1,5') as string },
    ]);
  });

  asRoot('24: a device node that is measured: good, and another number is modified', async () => {
    const root = makeImage();
    execFileSync('mknod', [join(root, 'etc/null'), 'c', '1', '3']);
    const image = await seal(root);
    expect(await image.found()).toEqual([]);
    rmSync(join(root, 'etc/null'));
    execFileSync('mknod', [join(root, 'etc/null'), 'c', '1', '5']);
    expect(await image.findings()).toMatchObject([
      { kind: 'modified', path: '/etc/null', expected: 'device=1,3', actual: 'device=1,5' },
    ]);
  });

  test('24: a socket in place of a file: type', async () => {
    const image = await sealedImage();
    const path = join(image.root, 'etc/passwd');
    rmSync(path);
    const server = createServer().listen(path);
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    expect(await image.found()).toEqual(['type /etc/passwd']);
  });

  asRoot('26: a read that returns EIO: unreadable', async () => {
    const root = makeImage();
    const path = join(root, 'etc/empty');
    writeFileSync(path, '', { mode: 0o600 });
    chmodSync(path, 0o600);
    const image = await seal(root);
    // The memory of a process is a regular file of size 0, and nothing is mapped at its start.
    execFileSync('mount', ['--bind', `/proc/${process.pid}/mem`, path]);
    onTestFinished(() => void execFileSync('umount', [path]));
    const [found] = await image.findings();
    expect(found).toMatchObject({ kind: 'unreadable', path: '/etc/empty', actual: 'EIO' });
  });

  asRoot('26: a file that the checking user may not read: unreadable', async () => {
    const root = makeImage();
    chmodSync(root, 0o755);
    chmodSync(join(root, 'etc/passwd'), 0);
    mkdirSync(join(root, 'etc/secret'), { mode: 0o700 });
    const image = await seal(root);
    writeFileSync(join(root, 'var/manifest'), formatManifest(image.manifest));
    const script = join(import.meta.dirname, 'check-as-nobody.ts');
    const output = execFileSync(process.execPath, [script, root, join(root, 'var/manifest')], {
      uid: 65_534,
      gid: 65_534,
      encoding: 'utf8',
    });
    expect(JSON.parse(output)).toEqual(['unreadable /etc/passwd EACCES', 'unreadable /etc/secret EACCES']);
  });
});

describe('attack table: names', () => {
  test('27: names that are not UTF-8: right verdict, raw bytes kept', async () => {
    const root = makeImage();
    const name = Buffer.concat([Buffer.from(`${root}/etc/`), Buffer.from([0xff, 0xfe, 0x41])]);
    writeFileSync(name, 'one');
    const image = await seal(root);
    expect(await image.found()).toEqual([]);
    writeFileSync(name, 'two');
    const other = Buffer.concat([Buffer.from(`${root}/etc/`), Buffer.from([0xff, 0xfd])]);
    writeFileSync(other, 'extra');
    expect(await image.findings()).toMatchObject([
      {
        kind: 'unexpected',
        path: '/etc/\\xff\\xfd',
        pathBase64: Buffer.from('etc/\xff\xfd', 'latin1').toString('base64'),
      },
      {
        kind: 'modified',
        path: '/etc/\\xff\\xfeA',
        pathBase64: Buffer.from('etc/\xff\xfeA', 'latin1').toString('base64'),
      },
    ]);
  });

  test('28: names with newline, escape and control characters: right verdict, escaped', async () => {
    const root = makeImage();
    writeTo(root, 'etc/a\nb \\ \u001b[2J', 'one');
    const image = await seal(root);
    expect(await image.found()).toEqual([]);
    writeTo(root, 'etc/a\nb \\ \u001b[2J', 'two');
    writeTo(root, 'etc/\u202egnp.exe', 'extra');
    expect(await image.found()).toEqual([
      'modified /etc/a\\nb \\\\ \\x1b[2J',
      'unexpected /etc/\\u202egnp.exe',
    ]);
  });

  test('29: names that differ in case or normal form alone: told apart', async () => {
    const root = makeImage();
    writeTo(root, 'etc/caf\u00e9', 'composed');
    const image = await seal(root);
    writeTo(root, 'etc/cafe\u0301', 'composed');
    writeTo(root, 'etc/Passwd', 'content of etc/passwd\n');
    expect(await image.found()).toEqual(['unexpected /etc/Passwd', 'unexpected /etc/cafe\u0301']);
  });
});

describe('attack table: manifests', () => {
  test.each<[number, string, string, string]>([
    [31, 'a ".." in a path', './etc/passwd', './../passwd'],
    [32, 'an absolute path', './etc/passwd', '/etc/passwd'],
    [33, 'a duplicate', './etc/passwd', './etc/group'],
    [34, 'an entry below a link', './etc/passwd', './bin/passwd'],
  ])('%i: %s: refused at parse', (row, _, from, to) => {
    const good = formatManifest([
      dir(''),
      link('bin', 'usr/bin'),
      dir('etc'),
      file('etc/group'),
      file('etc/passwd'),
    ]);
    let text = good.toString('latin1');
    if (row === 34)
      text = text
        .replace(/\.\/etc.*\n/g, '')
        .replace(/(\.\/bin.*\n)/, `$1${good.toString('latin1').split('\n').at(-2)}\n`);
    const codes = [
      'manifest-path-escapes',
      'manifest-path-absolute',
      'manifest-duplicate',
      'manifest-below-non-directory',
    ];
    expect(() => parseManifest(good)).not.toThrow();
    expect(() => parseManifest(Buffer.from(text.replace(from, to), 'latin1'))).toThrow(
      expect.objectContaining({ code: codes[row - 31] }),
    );
  });
});

describe('attack table: size', () => {
  test('49: nested deeper than PATH_MAX and than descriptors are held: right verdict', async () => {
    const root = temporaryDirectory();
    nest(root, 150, 'd'.repeat(60));
    writeTo(root, 'top', 'x');
    const image = await seal(root);
    expect(image.manifest.files).toBe(301);
    expect(await image.found()).toEqual([]);
    execFileSync(process.execPath, ['-e', DESCEND, root, '150', 'd'.repeat(60), 'tamper']);
    const found = await image.findings();
    expect(found.map(({ kind }) => kind)).toEqual(['unexpected', 'modified']);
    expect(found[1]?.path.length).toBeGreaterThan(9000);
  });

  test('49: 100,000 entries in one directory: right verdict', async () => {
    const root = temporaryDirectory();
    writeTo(root, 'many/file', 'x');
    execFileSync('sh', ['-c', 'cd "$1/many" && seq 100000 | xargs touch', 'sh', root]);
    const image = await seal(root);
    expect(image.manifest.files).toBe(100_001);
    writeTo(root, 'many/77777', 'y');
    rmSync(join(root, 'many/5'));
    writeTo(root, 'many/strange', '');
    expect(await image.found()).toEqual([
      'missing /many/5',
      'modified /many/77777',
      'unexpected /many/strange',
    ]);
  }, 120_000);

  test('49: 20,000 strange files: the first hundred in order, all counted', async () => {
    const image = await sealedImage();
    execFileSync('sh', ['-c', 'cd "$1/usr/bin" && seq -f x%05g 20000 | xargs touch', 'sh', image.root]);
    writeTo(image.root, 'zzz', '');
    const { findings, findingsTotal } = await image.checker.full();
    expect(findingsTotal).toBe(20_001);
    expect(findings.map(({ path }) => path)).toEqual(
      Array.from({ length: 100 }, (_, i) => `/usr/bin/x${`${i + 1}`.padStart(5, '0')}`),
    );
  });
});

/** Everything, slice by slice, past the page cache; `cached` counts bytes that had to be read through it. */
async function reread({ checker }: Sealed): Promise<{ found: string[]; cached: number }> {
  const found: string[] = [];
  let cached = 0;
  for (const slice of checker.rehashSlices) {
    const { findings, bytes, direct } = await checker.rehashSlice(slice, 1, () => undefined);
    found.push(...findings.map(({ kind, path }) => `${kind} ${path}`));
    cached += bytes - direct;
  }
  return { found, cached };
}

async function sealedLarge(): ReturnType<typeof seal> {
  const root = temporaryDirectory();
  writeFileSync(join(root, 'large'), '');
  truncateSync(join(root, 'large'), LARGE);
  return seal(root);
}

/** Checks in full; `change` happens once progress is heard from the middle of the large file. */
async function checkWhile(
  image: Awaited<ReturnType<typeof seal>>,
  change: () => void,
): Promise<{ findings: Finding[]; changed: boolean }> {
  let changed = false;
  const onProgress = ({ bytes }: Progress): void => {
    if (bytes === 0 || changed || bytes >= LARGE) return;
    changed = true;
    change();
  };
  const { findings } = await image.checker.full(onProgress);
  return { findings, changed };
}

function writeAt(path: string, place: number): void {
  const opened = openSync(path, 'r+');
  writeSync(opened, 'tampered', place);
  closeSync(opened);
}

const KEEP_WRITING = `
  const fs = require('node:fs');
  const file = fs.openSync(process.argv[1], 'r+');
  console.log('writing');
  setInterval(() => fs.writeSync(file, 'tampered', 0), 1);
`;

// Goes down step by step, since no path names the bottom: writes a file on each level, or changes the last.
const DESCEND = `
  const fs = require('node:fs');
  const [root, depth, name, what] = process.argv.slice(1);
  process.chdir(root);
  for (let i = 0; i < Number(depth); i += 1) {
    if (what === 'make') { fs.mkdirSync(name); fs.mkdirSync('z'); fs.writeFileSync('z/side', 'x'); }
    process.chdir(name);
    if (what === 'make') fs.writeFileSync('file', 'x');
  }
  if (what === 'tamper') { fs.writeFileSync('file', 'y'); fs.writeFileSync('extra', 'y'); }
`;

function nest(root: string, depth: number, name: string): void {
  execFileSync(process.execPath, ['-e', DESCEND, root, `${depth}`, name, 'make']);
  if (!lstatSync(join(root, name)).isDirectory()) throw new Error('nothing was nested');
}

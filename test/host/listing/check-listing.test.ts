import { createHash } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import type { Finding } from '../../../src/base/finding.ts';
import { checkListing } from '../../../src/host/listing/check-listing.ts';
import type { CheckResult } from '../../../src/host/measure/check-tree.ts';
import { availableDigests } from '../../../src/host/listing/content-digests.ts';
import type { Progress } from '../../../src/host/measure/hash-pool.ts';
import { PosixCksum } from '../../../src/host/listing/posix-cksum.ts';
import { readMtree } from '../../../src/manifest/mtree/read-mtree.ts';

const NOW = new Date('2026-11-25T12:00:00Z');
const isRoot = process.getuid?.() === 0;

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'sealborn-listing-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const hex = (algorithm: string, content: string): string =>
  createHash(algorithm).update(content).digest('hex');

function cksum(content: string): number {
  const sum = new PosixCksum();
  sum.update(Buffer.from(content));
  return sum.finish();
}

/** A tree and the lines of a manifest that says all of it. */
function tree(): { root: string; lines: string[] } {
  const root = directory();
  mkdirSync(join(root, 'd/e'), { recursive: true });
  writeFileSync(join(root, 'd/f'), 'content');
  writeFileSync(join(root, 'd/e/g'), 'more');
  symlinkSync('d/f', join(root, 'l'));
  chmodSync(join(root, 'd/f'), 0o640);
  utimesSync(join(root, 'd/f'), 5, 7);
  const { uid, gid } = statSync(join(root, 'd/f'));
  const digests = ['md5', 'sha1', 'sha256', 'sha384', 'sha512'].map(
    (name) => `${name}=${hex(name, 'content')}`,
  );
  const lines = [
    '. type=dir',
    './d type=dir',
    './d/e type=dir',
    `./d/e/g type=file size=4 sha256=${hex('sha256', 'more')}`,
    `./d/f type=file mode=0640 uid=${uid} gid=${gid} nlink=1 size=7 time=7.0 cksum=${cksum('content')} ` +
      `rmd160=${hex('ripemd160', 'content')} sha512256=${hex('sha512-256', 'content')} ${digests.join(' ')}`,
    './l type=link link=d/f',
  ];
  return { root, lines };
}

async function check(
  root: string,
  lines: readonly string[],
  more: { workers?: number; onProgress?: (progress: Progress) => void } = {},
): Promise<CheckResult> {
  const listing = readMtree(Buffer.from(lines.map((line) => `${line}\n`).join('')));
  return await checkListing({ root, listing, available: availableDigests(), now: NOW, workers: 2, ...more });
}

const brief = ({ findings }: { findings: readonly Finding[] }): string[] =>
  findings.map(({ path, kind, expected, actual }) => `${kind} ${path}: ${expected} | ${actual}`);

test('checkListing finds nothing in a tree that is as stated', async () => {
  const { root, lines } = tree();
  const result = await check(root, lines);
  expect(result).toMatchObject({ findings: [], findingsTotal: 0, files: 2, bytes: 11 });
});

test('checkListing says findings in the shape of our own', async () => {
  const { root, lines } = tree();
  writeFileSync(join(root, 'd/e/g'), 'less');
  expect((await check(root, lines)).findings).toEqual([
    {
      path: '/d/e/g',
      kind: 'modified',
      expected: `sha256=${hex('sha256', 'more')}`,
      actual: `sha256=${hex('sha256', 'less')}`,
      at: '2026-11-25T12:00:00.000Z',
    },
  ]);
});

test.each<[string, (root: string) => void, string[]]>([
  [
    'a larger file, which is not read',
    (root) => writeFileSync(join(root, 'd/e/g'), 'more.'),
    ['modified /d/e/g: size=4 | size=5'],
  ],
  ['a mode', (root) => chmodSync(join(root, 'd/f'), 0o4640), ['metadata /d/f: mode=0640 | mode=4640']],
  [
    'a time',
    (root) => utimesSync(join(root, 'd/f'), 5, 7.5),
    ['metadata /d/f: time=7.000000000 | time=7.500000000'],
  ],
  [
    'a second name',
    (root) => linkSync(join(root, 'd/f'), join(root, 'd/f2')),
    [
      'metadata /d/f: nlink=1 | nlink=2',
      expect.stringMatching(/^unexpected \/d\/f2: {2}\| type=file mode=0640 uid=\d+ gid=\d+ size=7$/),
    ],
  ],
  [
    'a missing file',
    (root) => rmSync(join(root, 'd/e/g')),
    [`missing /d/e/g: type=file size=4 sha256=${hex('sha256', 'more')} | nothing`],
  ],
  [
    'a missing directory, with a count of what went with it',
    (root) => rmSync(join(root, 'd'), { recursive: true }),
    ['missing /d: type=dir and 3 below it | nothing'],
  ],
  [
    'another target',
    (root) => {
      rmSync(join(root, 'l'));
      symlinkSync('d/e', join(root, 'l'));
    },
    ['modified /l: link=d/f | link=d/e'],
  ],
  [
    'a file in the place of a link',
    (root) => {
      rmSync(join(root, 'l'));
      writeFileSync(join(root, 'l'), '');
    },
    [expect.stringMatching(/^type \/l: type=link \| type=file /)],
  ],
  [
    'a link in the place of a directory, which is not followed',
    (root) => {
      renameSync(join(root, 'd'), join(root, 'x'));
      symlinkSync('x', join(root, 'd'));
    },
    [
      expect.stringMatching(/^type \/d: type=dir \| type=link .* link=x$/),
      expect.stringMatching(/^unexpected \/x: /),
    ],
  ],
  [
    'a file among what is listed',
    (root) => writeFileSync(join(root, 'd/e/new'), ''),
    [expect.stringMatching(/^unexpected \/d\/e\/new: /)],
  ],
  [
    'a directory among what is listed, once for all in it',
    (root) => {
      mkdirSync(join(root, 'new/deep'), { recursive: true });
      symlinkSync('target', join(root, 'link'));
    },
    [
      expect.stringMatching(/^unexpected \/link: {2}\| type=link .* link=target$/),
      expect.stringMatching(/^unexpected \/new: {2}\| type=dir /),
    ],
  ],
])('checkListing finds %s', async (_, change, expected) => {
  const { root, lines } = tree();
  change(root);
  expect(brief(await check(root, lines))).toEqual(expected);
});

test('checkListing compares each digest alone', async () => {
  const root = directory();
  const digests = [
    ...['md5', 'sha1', 'sha256', 'sha384', 'sha512'].map((name) => `${name}=${hex(name, 'content')}`),
    `rmd160=${hex('ripemd160', 'content')}`,
    `sha512256=${hex('sha512-256', 'content')}`,
    `cksum=${cksum('content')}`,
  ].toSorted();
  const lines = ['. type=dir', ...digests.map((digest, at) => `./f${at} ${digest}`)];
  const write = (content: string): void =>
    digests.forEach((_, at) => writeFileSync(join(root, `f${at}`), content));
  write('content');
  expect(brief(await check(root, lines))).toEqual([]);
  write('Content');
  const found = digests.map((digest, at) => `modified /f${at}: ${digest} | ${digest.split('=')[0]}=`);
  expect(brief(await check(root, lines)).map((line, at) => line.slice(0, found[at]?.length))).toEqual(found);
});

test('checkListing leaves alone what nobody listed in a directory that is only on the way', async () => {
  const { root } = tree();
  expect(brief(await check(root, ['./d/e type=dir', './d/e/g type=file']))).toEqual([]);
  expect(brief(await check(root, ['./d/x/y type=file']))).toEqual([
    'missing /d/x: type=dir and 1 below it | nothing',
  ]);
});

test('checkListing knows optional, nochange and ignore', async () => {
  const { root, lines } = tree();
  const rest = lines.filter((line) => !line.startsWith('./d'));
  const less = [
    ...rest,
    './d type=dir ignore',
    './o type=file optional',
    './p type=dir optional',
    './p/q type=file',
  ];
  expect(brief(await check(root, less))).toEqual([]);
  const loose = [...rest, './d type=file mode=0 nochange'];
  expect(brief(await check(root, loose))).toEqual([]);
  rmSync(join(root, 'd'), { recursive: true });
  expect(brief(await check(root, loose))).toEqual(['missing /d: type=file mode=0000 | nothing']);
  writeFileSync(join(root, 'p'), '');
  expect(brief(await check(root, less))).toEqual([
    'missing /d: type=dir | nothing',
    expect.stringMatching(/^type \/p: type=dir \| type=file /),
  ]);
});

test('checkListing lets nothing stand in a directory of which only the name is listed', async () => {
  const { root, lines } = tree();
  const untyped = [...lines.filter((line) => !line.startsWith('./d')), './d'];
  expect(brief(await check(root, untyped)).map((line) => line.slice(0, 16))).toEqual([
    'unexpected /d/e:',
    'unexpected /d/f:',
  ]);
});

test('checkListing compares names of owners by the accounts of this machine', async () => {
  const { root, lines } = tree();
  const rest = lines.filter((line) => !line.startsWith('./l'));
  const stated = [...rest, './l type=link uname=nobody-here gname=nobody-here'];
  expect(brief(await check(root, stated))).toEqual([
    expect.stringMatching(
      /^metadata \/l: uname=nobody-here \(unknown on this machine\) gname=nobody-here \(unknown on this machine\) \| uid=\d+ gid=\d+$/,
    ),
  ]);
  if (isRoot) expect(brief(await check(root, [...rest, './l type=link uname=root gname=root']))).toEqual([]);
});

test('checkListing does not take two long attributes that begin alike for the same', async ({ skip }) => {
  const { root, lines } = tree();
  const { spawnSync } = await import('node:child_process');
  const long = 'x'.repeat(400);
  const set = spawnSync('setfattr', ['-n', 'user.a', '-v', `${long}1`, join(root, 'd/f')]);
  if (set.status !== 0) skip('no setfattr, or no attributes on this file system');
  const withAttribute = (value: string): string[] =>
    lines.map((line) =>
      line.startsWith('./d/f') ? `${line} xattr.user.a=${Buffer.from(value).toString('base64')}` : line,
    );
  expect(brief(await check(root, withAttribute(`${long}1`)))).toEqual([]);
  expect(brief(await check(root, withAttribute(`${long}2`)))).toEqual([
    expect.stringMatching(/^metadata \/d\/f: xattr\.user\.a=/),
  ]);
});

test.skipIf(isRoot)('checkListing names what it may not read', async () => {
  const { root, lines } = tree();
  chmodSync(join(root, 'd/f'), 0);
  chmodSync(join(root, 'd/e'), 0);
  const found = brief(await check(root, lines));
  chmodSync(join(root, 'd/e'), 0o755);
  expect(found).toEqual([
    expect.stringMatching(/^unreadable \/d\/e: type=dir \| EACCES$/),
    expect.stringMatching(/^unreadable \/d\/f: .* \| EACCES$/),
    'metadata /d/f: mode=0640 | mode=0000',
  ]);
});

test('checkListing finds the same with one thread and with many, in a large directory', async () => {
  const root = directory();
  const lines = ['. type=dir'];
  for (let i = 0; i < 1500; i += 1) {
    writeFileSync(join(root, `f${i}`), String(i));
    lines.push(
      `./f${i} type=file size=${i === 1234 ? 9 : String(i).length} sha256=${hex('sha256', i === 777 ? 'x' : String(i))}`,
    );
  }
  const said: Progress[] = [];
  const many = await check(root, lines, { workers: 3, onProgress: (progress) => void said.push(progress) });
  const one = await check(root, lines, { workers: 1 });
  expect(brief(many)).toEqual(brief(one));
  expect(brief(many).map((line) => line.slice(0, 15))).toEqual(['modified /f1234', 'modified /f777:']);
  expect(said.at(-1)).toMatchObject({ files: 1499, totalFiles: 1500 });
});

test('checkListing refuses a root that is not there', async () => {
  const { root, lines } = tree();
  await expect(check(join(root, 'none'), lines)).rejects.toMatchObject({ code: 'not-found' });
  await expect(check(join(root, 'd/f'), lines)).rejects.toMatchObject({ code: 'not-a-directory' });
});

test('PosixCksum makes the sums that cksum(1) prints', () => {
  expect([cksum(''), cksum('hi\n'), cksum('x'.repeat(1000))]).toEqual([4294967295, 1479881546, 3999126958]);
});

import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  rmdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { startMeasuring } from '../agent/start-measuring.ts';
import { createTreeChecker } from '../../src/host/measure/check-tree.ts';
import { KernelVerity } from '../../src/host/kernel/kernel-verity.ts';
import { ENODATA, ENOTTY, EOPNOTSUPP } from '../../src/host/kernel/linux.ts';
import { measureTree } from '../../src/host/measure/measure-tree.ts';
import { formatManifest } from '../../src/manifest/format.ts';
import { sealMachine } from '../agent/sealed-machine.ts';
import { PREDICATE } from '../bundle/bundle-fixture.ts';
import { lackingProgram, needs } from '../support/needs.ts';
import { rulesWith } from '../support/rules.ts';
import { NO_LOOP_DEVICES, mountLoop } from './loop-device.ts';
import { type Sealed, makeImage, seal, temporaryDirectory, writeTo } from './sealed-image.ts';

const RULES = rulesWith({ mutable: ['/var', '/lost+found'], fsVerity: true });
const NO_TOOL = lackingProgram('fsverity', 'fsverity');

/** What is lacking where no file can have fs-verity: most of all, a kernel that was built with it. */
const NO_FS_VERITY: string | undefined = NO_LOOP_DEVICES ?? NO_TOOL ?? lackingKernel();

function lackingKernel(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-verity-'));
  const [image, root] = [join(directory, 'image'), join(directory, 'root')];
  writeFileSync(image, '');
  truncateSync(image, 8 * 2 ** 20);
  mkdirSync(root);
  const script =
    'mkfs.ext4 -q -b 4096 -O verity "$1" && mount -o loop "$1" "$2" && ' +
    '{ echo x > "$2/x"; fsverity enable "$2/x"; enabled=$?; umount "$2"; exit $enabled; }';
  const { status } = spawnSync('sh', ['-c', script, 'sh', image, root]);
  rmdirSync(root);
  rmSync(directory, { recursive: true });
  return status === 0 ? undefined : 'a kernel with fs-verity, and ext4 for it';
}

const withVerity = needs(NO_FS_VERITY);

function digestOf(path: string): string {
  return execFileSync('fsverity', ['digest', '--compact', path], { encoding: 'utf8' }).trim();
}

describe('fs-verity digests in a manifest', () => {
  needs(NO_TOOL)('are those of fsverity(1), for every file and nothing else', async () => {
    const root = makeImage();
    writeTo(root, 'usr/lib/large', Buffer.alloc(1_234_567, 'large'));
    writeTo(root, 'etc/empty', '');
    linkSync(join(root, 'usr/lib/large'), join(root, 'usr/lib/second'));
    const { entries } = await measureTree({ root, rules: RULES, workers: 2 });
    for (const { path, type, fsVerity } of entries) {
      expect([path, fsVerity]).toEqual([path, type === 'file' ? digestOf(join(root, path)) : undefined]);
    }
  });

  test('are there only where the release asks for them', async () => {
    const { entries } = await measureTree({ root: makeImage(), rules: rulesWith({ mutable: ['/var'] }) });
    expect(entries.filter(({ fsVerity }) => fsVerity !== undefined)).toEqual([]);
  });

  const NO_READERS = lackingProgram('bsdtar', 'libarchive-tools') ?? lackingProgram('mtree', 'mtree-netbsd');
  needs(NO_READERS)('do not keep bsdtar and NetBSD mtree from reading it', async () => {
    const root = makeImage();
    writeTo(root, 'usr/share/sealborn/bundle/file', 'x');
    rmSync(join(root, 'usr/share/sealborn/bundle/file'));
    const { entries } = await measureTree({ root, rules: rulesWith({ fsVerity: true }) });
    const manifest = join(temporaryDirectory(), 'manifest.mtree');
    writeFileSync(manifest, formatManifest(entries));
    const listed = execFileSync('bsdtar', ['-tf', manifest], { cwd: root, encoding: 'latin1' });
    expect(listed.trimEnd().split('\n')).toHaveLength(entries.length);
    const seen = spawnSync('mtree', ['-f', manifest, '-p', root], { encoding: 'utf8' });
    expect([seen.status, seen.stdout, seen.stderr]).toEqual([0, '', '']);
  });

  test('change nothing where no file has fs-verity: all is read, and found', async () => {
    const root = makeImage();
    const image = await seal(root, RULES);
    expect(await image.checker.full()).toMatchObject({
      findingsTotal: 0,
      vouched: 0,
      bytes: image.manifest.bytes,
    });
    writeTo(root, 'usr/bin/env', 'CONTENT of usr/bin/env\n');
    expect(await image.found()).toEqual(['modified /usr/bin/env']);
  });

  test('are counted in the verdict', async () => {
    const machine = await sealMachine({ predicate: { measure: { ...PREDICATE.measure, fsVerity: true } } });
    const measurer = await startMeasuring(machine);
    await measurer.settled;
    const { state, coverage, measured } = measurer.verdict();
    expect(state).toBe('trusted');
    expect(coverage?.fsVerity).toEqual({ recorded: measured?.files, vouched: 0 });
  });
});

describe('KernelVerity', () => {
  test('says why where a file has no fs-verity', () => {
    const file = openSync(new URL(import.meta.url), 'r');
    onTestFinished(() => closeSync(file));
    expect([ENOTTY, EOPNOTSUPP, ENODATA]).toContain(new KernelVerity().of(file));
  });
});

/** An image on an ext4 with fs-verity enabled for every file, and a checker that was not yet asked. */
async function verityImage(): Promise<Sealed & { enable: (path: string, ...flags: string[]) => void }> {
  const { root } = mountLoop('verity');
  makeImage(root);
  writeTo(root, 'usr/lib/large', Buffer.alloc(1_234_567, 'large'));
  const enable = (path: string, ...flags: string[]): void =>
    void execFileSync('fsverity', ['enable', join(root, path), ...flags]);
  const { entries } = await measureTree({ root, rules: RULES });
  for (const { path, type } of entries) if (type === 'file') enable(path);
  return { ...(await seal(root, RULES)), enable };
}

/** Puts a file with other content, or the same, in the place of one, with the same mode. */
function replace(root: string, path: string, content: string): void {
  writeTo(root, 'new', content);
  renameSync(join(root, 'new'), join(root, path));
}

describe('files with fs-verity', () => {
  withVerity('are vouched for by the kernel, and not read', async () => {
    const { checker, manifest, root } = await verityImage();
    const { findings, vouched, bytes, files } = await checker.full();
    expect({ findings, vouched, bytes, files }).toEqual({
      findings: [],
      vouched: manifest.files,
      bytes: 0,
      files: manifest.files,
    });
    const kernel = new KernelVerity();
    const file = openSync(join(root, 'usr/lib/large'), 'r');
    expect(kernel.of(file)).toBe(0);
    closeSync(file);
    expect(Buffer.from(kernel.digest).toString('hex')).toBe(digestOf(join(root, 'usr/lib/large')));
  });

  withVerity('can not be written to, and keep their metadata checked', async () => {
    const image = await verityImage();
    expect(() => openSync(join(image.root, 'usr/bin/env'), 'r+')).toThrow('EPERM');
    chmodSync(join(image.root, 'usr/bin/env'), 0o4755);
    expect(await image.found()).toEqual(['metadata /usr/bin/env']);
  });

  withVerity(
    'replaced by others with fs-verity: metadata, and modified where the content differs',
    async () => {
      const image = await verityImage();
      replace(image.root, 'usr/bin/env', 'CONTENT of usr/bin/env\n');
      image.enable('usr/bin/env');
      replace(image.root, 'etc/passwd', 'content of etc/passwd\n');
      image.enable('etc/passwd', '--salt=abcd');
      const found = await image.findings();
      expect(found.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
        'metadata /etc/passwd',
        'modified /usr/bin/env',
        'metadata /usr/bin/env',
      ]);
      expect(found[0]?.actual).toMatch(/^fsverity\.sha256=[0-9a-f]{64}$/);
    },
  );

  withVerity('replaced by one without: read as ever', async () => {
    const image = await verityImage();
    replace(image.root, 'etc/passwd', 'content of etc/passwd\n');
    replace(image.root, 'usr/bin/env', 'CONTENT of usr/bin/env\n');
    const { findings, vouched } = await image.checker.full();
    expect(findings).toMatchObject([{ kind: 'modified', path: '/usr/bin/env' }]);
    expect(vouched).toBe(image.manifest.files - 2);
  });

  withVerity('replaced by one with a digest of another algorithm: read as ever', async ({ skip }) => {
    const image = await verityImage();
    copyFileSync(join(image.root, 'usr/lib/large'), join(image.root, 'new'));
    renameSync(join(image.root, 'new'), join(image.root, 'usr/lib/large'));
    try {
      image.enable('usr/lib/large', '--hash-alg=sha512');
    } catch {
      skip('needs SHA-512 in the kernel');
    }
    const { findings, vouched } = await image.checker.full();
    expect(findings).toEqual([]);
    expect(vouched).toBe(image.manifest.files - 1);
  });

  withVerity(
    'written below the file system: vouched for, and unreadable when all is read again',
    async () => {
      const { root, writeBelow, remount } = mountLoop('verity');
      makeImage(root);
      writeTo(root, 'usr/lib/large', Buffer.alloc(40_000, 'large'));
      execFileSync('fsverity', ['enable', join(root, 'usr/lib/large')]);
      const { manifest } = await seal(root, RULES);
      writeBelow('usr/lib/large', 'LARGE');
      // Whatever of the file and its hashes is in memory was checked already.
      remount();
      const checker = createTreeChecker({
        root,
        manifest,
        rules: RULES,
        bundleDigests: new Map(),
        workers: 1,
        now: () => new Date(),
      });
      onTestFinished(() => checker.close());
      expect(await checker.full()).toMatchObject({ findings: [], vouched: 1 });
      const found: string[] = [];
      for (const slice of checker.rehashSlices) {
        const { findings } = await checker.rehashSlice(slice, 1, () => undefined);
        found.push(...findings.map(({ kind, path, actual }) => `${kind} ${path} ${actual}`));
      }
      expect(found).toEqual(['unreadable /usr/lib/large EIO']);
    },
  );
});

import { linkSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { type Sha256, sha256 } from '../../../src/base/digest.ts';
import type { BundleFileName } from '../../../src/bundle/bundle-files.ts';
import { createTreeChecker } from '../../../src/host/measure/check-tree.ts';
import type { Progress } from '../../../src/host/measure/measure-tree.ts';
import { formatManifest } from '../../../src/manifest/format.ts';
import { parseManifest } from '../../../src/manifest/parse.ts';
import { dir, file } from '../../manifest/samples.ts';
import { RULES, type Sealed, makeImage, seal, sealedImage, writeTo } from '../../system/sealed-image.ts';

const BUNDLE = 'usr/share/sealborn/bundle';
const CONTENTS = { 'release.dsse.json': '{}', 'policy.json': '[]', 'manifest.mtree': '#' } as const;

async function imageWithBundle(): Promise<Sealed> {
  const root = makeImage();
  const names = Object.keys(CONTENTS) as BundleFileName[];
  const digests = new Map<BundleFileName, Sha256>(names.map((name) => [name, sha256(CONTENTS[name])]));
  const image = await seal(root, RULES, digests);
  for (const name of names) writeTo(root, `${BUNDLE}/${name}`, CONTENTS[name]);
  return image;
}

describe('TreeChecker.full', () => {
  test('says files, bytes and progress up to the totals', async () => {
    const image = await sealedImage();
    const heard: Progress[] = [];
    const result = await image.checker.full((progress) => heard.push(progress));
    const { files, bytes } = image.manifest;
    expect(result).toMatchObject({ findings: [], findingsTotal: 0, files, bytes });
    expect(heard.at(-1)).toMatchObject({ files, bytes, totalFiles: files, totalBytes: bytes });
  });

  test('gives findings the time at which the check began', async () => {
    const root = makeImage();
    const { manifest } = await seal(root);
    rmSync(join(root, 'etc/passwd'));
    const now = (): Date => new Date('2030-01-02T03:04:05Z');
    const checker = createTreeChecker({ root, manifest, rules: RULES, bundleDigests: new Map(), now });
    onTestFinished(() => checker.close());
    expect((await checker.full()).findings).toMatchObject([{ at: '2030-01-02T03:04:05.000Z' }]);
  });

  test('remembers nothing where it is made for one check: whatever comes after reads everything again', async () => {
    const root = makeImage();
    const { manifest } = await seal(root);
    const { files } = manifest;
    const bundleDigests = new Map();
    // Long after the image was made, so that its times could be gone by.
    const now = (): Date => new Date(Date.now() + 3_600_000);
    const checker = createTreeChecker({ root, manifest, rules: RULES, bundleDigests, once: true, now });
    onTestFinished(() => checker.close());
    expect(await checker.full()).toMatchObject({ findings: [], files });
    writeTo(root, 'etc/passwd', 'CONTENT of etc/passwd\n');
    const swept = await checker.sweep();
    expect(swept.findings).toMatchObject([{ kind: 'modified', path: '/etc/passwd' }]);
    expect(swept.files).toBe(files);
  });

  test('reads each inode once', async () => {
    const root = makeImage();
    truncateSync(join(root, 'etc/passwd'), 2 ** 20);
    for (let i = 0; i < 5; i += 1) linkSync(join(root, 'etc/passwd'), join(root, `etc/passwd${i}`));
    const image = await seal(root);
    expect(await image.found()).toEqual([]);
    writeFileSync(join(root, 'etc/passwd3'), 'x', { flag: 'r+' });
    expect(await image.found()).toEqual(
      ['', '0', '1', '2', '3', '4'].map((suffix) => `modified /etc/passwd${suffix}`),
    );
  });

  test('reports both what was written and what was changed about a file', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'new', 'CONTENT of etc/passwd\n');
    linkSync(join(image.root, 'new'), join(image.root, 'var/new'));
    renameSync(join(image.root, 'new'), join(image.root, 'etc/passwd'));
    expect(await image.found()).toEqual(['modified /etc/passwd', 'metadata /etc/passwd']);
  });

  test('does not look below mutable directories, nor beside measured roots', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'var/new/file', 'x');
    expect(await image.found()).toEqual([]);
    const some = await seal(image.root, { ...RULES, roots: ['/etc'], absent: [] });
    writeTo(image.root, 'opt/new', 'x');
    writeTo(image.root, 'etc/new', 'x');
    expect(await some.found()).toEqual(['unexpected /etc/new']);
  });

  test('finds a measured root replaced by a link, and one that is gone', async () => {
    const image = await seal(makeImage(), { ...RULES, roots: ['/etc', '/usr/lib'], absent: [] });
    renameSync(join(image.root, 'usr'), join(image.root, 'usr2'));
    symlinkSync('usr2', join(image.root, 'usr'));
    rmSync(join(image.root, 'etc'), { recursive: true });
    expect(await image.found()).toEqual(['missing /etc', 'type /usr']);
  });

  test('finds a path that is declared absent wherever it is, once', async () => {
    const root = makeImage();
    const image = await seal(root, { ...RULES, absent: ['/etc/ld.so.preload', '/var/lib/evil', '/opt/x/y'] });
    expect(await image.found()).toEqual([]);
    writeTo(root, 'etc/ld.so.preload', '');
    writeTo(root, 'var/lib/evil', '');
    expect(await image.findings()).toMatchObject([
      { kind: 'unexpected', path: '/etc/ld.so.preload', expected: 'declared absent' },
      { kind: 'unexpected', path: '/var/lib/evil', expected: 'declared absent' },
    ]);
  });

  test('refuses rules that are not those of the manifest', () => {
    const manifest = parseManifest(formatManifest([dir(''), file('a')]));
    const rules = { ...RULES, roots: ['/usr'] };
    expect(() =>
      createTreeChecker({ root: '/', manifest, rules, bundleDigests: new Map(), now: () => new Date() }),
    ).toThrow(expect.objectContaining({ code: 'not-found' }));
  });

  test('rejects where the root is gone, and goes on when it is back', async () => {
    const image = await sealedImage();
    renameSync(image.root, `${image.root}-away`);
    await expect(image.checker.full()).rejects.toMatchObject({ code: 'not-found' });
    renameSync(`${image.root}-away`, image.root);
    expect((await image.checker.full()).findingsTotal).toBe(0);
  });

  test('stops when aborted, with the reason, and can be asked again', async () => {
    const root = makeImage();
    truncateSync(join(root, 'etc/passwd'), 2 ** 29);
    const image = await seal(root);
    const abort = new AbortController();
    const reason = new Error('enough');
    await expect(
      image.checker.full(({ bytes }) => bytes > 0 && abort.abort(reason), abort.signal),
    ).rejects.toBe(reason);
    expect(await image.checker.full()).toMatchObject({ findingsTotal: 0, bytes: image.manifest.bytes });
  });

  test('ends with an error when the checker is closed meanwhile, and after', async () => {
    const root = makeImage();
    truncateSync(join(root, 'etc/passwd'), 2 ** 29);
    const image = await seal(root);
    const underWay = expect(image.checker.full()).rejects.toMatchObject({ code: 'aborted' });
    await image.checker.close();
    await underWay;
    await expect(image.checker.sweep()).rejects.toMatchObject({ code: 'aborted' });
  });

  test('does two checks asked for at once one after the other', async () => {
    const image = await sealedImage();
    const results = await Promise.all([image.checker.full(), image.checker.sweep(), image.checker.full()]);
    expect(results.map(({ files }) => files)).toEqual([image.manifest.files, 0, image.manifest.files]);
  });
});

describe('TreeChecker.sweep', () => {
  test('is a full check where none came before', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'etc/passwd', 'other');
    const checker = createTreeChecker({
      root: image.root,
      manifest: image.manifest,
      rules: RULES,
      bundleDigests: new Map(),
      now: () => new Date(),
    });
    onTestFinished(() => checker.close());
    expect(await checker.sweep()).toMatchObject({ findingsTotal: 1, files: image.manifest.files });
  });

  test('reads nothing where nothing changed, and what was touched once', async () => {
    const image = await sealedImage();
    expect(await image.checker.sweep()).toMatchObject({ findingsTotal: 0, files: 0, bytes: 0 });
    utimesSync(join(image.root, 'etc/passwd'), 1, 1);
    expect(await image.checker.sweep()).toMatchObject({ findingsTotal: 0, files: 1, bytes: 22 });
    expect(await image.checker.sweep()).toMatchObject({ findingsTotal: 0, files: 0, bytes: 0 });
  });

  test('reads again what changed just now, since a later write can leave the same times', async () => {
    const image = await sealedImage();
    const checker = createTreeChecker({
      root: image.root,
      manifest: image.manifest,
      rules: RULES,
      bundleDigests: new Map(),
      now: () => new Date(),
    });
    onTestFinished(() => checker.close());
    await checker.full();
    expect(await checker.sweep()).toMatchObject({ findingsTotal: 0, files: image.manifest.files });
  });

  test('says what differs in every sweep until it is mended', async () => {
    const image = await sealedImage();
    writeTo(image.root, 'etc/passwd', 'other');
    for (let i = 0; i < 3; i += 1) expect((await image.checker.sweep()).findingsTotal).toBe(1);
    writeTo(image.root, 'etc/passwd', 'content of etc/passwd\n');
    expect((await image.checker.sweep()).findingsTotal).toBe(0);
  });
});

describe('the bundle directory', () => {
  test('may be missing, empty or hold the three files', async () => {
    const image = await imageWithBundle();
    expect(await image.found()).toEqual([]);
    for (const name of Object.keys(CONTENTS)) rmSync(join(image.root, BUNDLE, name));
    expect(await image.found()).toEqual([]);
    rmSync(join(image.root, 'usr/share/sealborn'), { recursive: true });
    expect(await image.found()).toEqual([]);
  });

  test.each<[string, (bundle: string) => void, string]>([
    ['one file missing', (bundle) => rmSync(join(bundle, 'policy.json')), 'missing policy.json'],
    ['one more file', (bundle) => writeFileSync(join(bundle, 'more'), ''), 'unexpected more'],
    ['another content', (bundle) => writeFileSync(join(bundle, 'policy.json'), '{}'), 'modified policy.json'],
    [
      'a link in place of a file',
      (bundle) => {
        renameSync(join(bundle, 'policy.json'), join(bundle, '../../policy.json'));
        symlinkSync('../../policy.json', join(bundle, 'policy.json'));
      },
      'type policy.json',
    ],
  ])('with %s is a finding', async (_, change, expected) => {
    const image = await imageWithBundle();
    change(join(image.root, BUNDLE));
    const [kind, name] = expected.split(' ');
    expect(await image.found()).toContain(`${kind} /${BUNDLE}/${name}`);
  });

  test('is a finding where a link takes its place', async () => {
    const image = await imageWithBundle();
    renameSync(join(image.root, BUNDLE), join(image.root, 'var/bundle'));
    symlinkSync('/var/bundle', join(image.root, BUNDLE));
    expect(await image.found()).toEqual([`type /${BUNDLE}`]);
  });
});

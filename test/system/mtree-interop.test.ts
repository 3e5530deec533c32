import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, linkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect } from 'vitest';

import { measureTree } from '../../src/host/measure/measure-tree.ts';
import { formatManifest } from '../../src/manifest/format.ts';
import { lackingProgram, needs } from '../support/needs.ts';
import { RULES, makeImage, temporaryDirectory, writeTo } from './sealed-image.ts';

// NetBSD's mtree and libarchive's bsdtar.
const withMtree = needs(lackingProgram('mtree', 'mtree-netbsd'));
const withBsdtar = needs(lackingProgram('bsdtar', 'libarchive-tools'));

/** A tree with what the two tools and we all know: no attributes. */
async function tree(): Promise<{ root: string; manifest: string }> {
  const root = makeImage();
  chmodSync(join(root, 'usr/bin/env'), 0o4755);
  linkSync(join(root, 'usr/bin/env'), join(root, 'usr/bin/env2'));
  symlinkSync('a b \\ #', join(root, 'etc/link'));
  for (const name of ['a b', 'a\nb', 'a\\b', '#a', 'a*[b]?', 'a=b', 'caf\u00e9', '\u001b[2J', '-a', '~a']) {
    writeTo(root, `etc/names/${name}`, `content of ${name}`);
  }
  writeFileSync(Buffer.concat([Buffer.from(`${root}/etc/names/`), Buffer.of(0xff, 0x80)]), 'bytes');
  execFileSync('mkfifo', [join(root, 'etc/pipe')]);
  if (process.getuid?.() === 0) execFileSync('mknod', [join(root, 'etc/null'), 'c', '1', '3']);
  // Both look for everything listed: no directory that is not there yet.
  writeTo(root, 'usr/share/sealborn/bundle/file', 'x');
  rmSync(join(root, 'usr/share/sealborn/bundle/file'));
  rmSync(join(root, 'var'), { recursive: true });
  const manifest = join(temporaryDirectory(), 'manifest.mtree');
  writeFileSync(manifest, formatManifest((await measureTree({ root, rules: RULES })).entries));
  return { root, manifest };
}

function mtree(root: string, manifest: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('mtree', ['-f', manifest, '-p', root], { encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

describe('a manifest as other readers of mtree(5) see it', () => {
  withMtree('NetBSD mtree agrees that the tree is as listed', async () => {
    const { root, manifest } = await tree();
    expect(mtree(root, manifest)).toEqual({ status: 0, output: '' });
  });

  withMtree.each<[string, (root: string) => void, string]>([
    ['content', (root) => writeTo(root, 'usr/bin/python3.13', 'other of usr/bin/python3.13'), 'python3.13'],
    ['mode', (root) => chmodSync(join(root, 'usr/bin/env'), 0o755), 'usr/bin/env'],
    ['a missing file', (root) => rmSync(join(root, 'etc/passwd')), 'etc/passwd'],
    ['an extra file', (root) => writeTo(root, 'etc/sudoers.d/new', ''), 'etc/sudoers.d/new'],
    ['a file with a name of its own', (root) => writeTo(root, 'etc/names/a\nb', 'tampered with it'), 'names'],
  ])('NetBSD mtree finds %s', async (_, change, named) => {
    const { root, manifest } = await tree();
    change(root);
    // Its exit status speaks of changed files only, not of missing and extra ones.
    expect(mtree(root, manifest).output).toContain(named);
  });

  withBsdtar('bsdtar lists the same paths', async () => {
    const { root, manifest } = await tree();
    const listed = execFileSync('bsdtar', ['-tf', manifest], { cwd: root, encoding: 'latin1' });
    const { entries } = await measureTree({ root, rules: RULES });
    // bsdtar shows bytes that are not printable as escapes of its own; compare those that need none.
    const plain = entries.map(({ path }) => path).filter((path) => /^[\w./+@-]*$/.test(path));
    const seen = new Set(listed.split('\n').map((line) => line.replace(/\/$/, '').replace(/^\.\/?/, '')));
    for (const path of plain) expect(seen).toContain(path);
    expect(listed.trimEnd().split('\n')).toHaveLength(entries.length);
  });

  withBsdtar('bsdtar makes an archive from it whose headers are ours', async () => {
    const { root, manifest } = await tree();
    const archive = join(temporaryDirectory(), 'image.tar');
    // It warns of the name that is not UTF-8, which a tar header can't say.
    execFileSync('bsdtar', ['-cf', archive, '-C', root, `@${manifest}`], { cwd: root, stdio: 'ignore' });
    const listed = execFileSync('bsdtar', ['-tvf', archive], { encoding: 'latin1' });
    expect(listed).toMatch(/^-rwsr-xr-x .* \.\/usr\/bin\/env$/m);
    expect(listed).toMatch(/^lrwxrwxrwx .* \.\/usr\/bin\/python3 -> python3\.13$/m);
    expect(listed).toMatch(/^prw-r--r-- .* \.\/etc\/pipe$/m);
  });
});

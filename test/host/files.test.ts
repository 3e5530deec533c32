import { execFileSync, spawn } from 'node:child_process';
import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { readBundleDirectory, writeBundleDirectory } from '../../src/host/bundle-directory.ts';
import { readFileBounded, writeFileAtomic, writeFileNew, writeOutput } from '../../src/host/files.ts';
import { bundle, newKey } from '../bundle/bundle-fixture.ts';

const refusal = (code: string): unknown => expect.objectContaining({ code });
let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'sealborn-files-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string): string => join(directory, name);

describe('readFileBounded', () => {
  it('reads a file whole, up to its bound', async () => {
    writeFileSync(at('a'), 'hello');
    expect((await readFileBounded(at('a'), 5)).toString()).toBe('hello');
    await expect(readFileBounded(at('a'), 4)).rejects.toEqual(refusal('file-too-large'));
  });
  it('refuses links, directories and FIFOs without blocking, and says what is missing', async () => {
    writeFileSync(at('a'), 'hello');
    symlinkSync('a', at('link'));
    execFileSync('mkfifo', [at('fifo')]);
    await expect(readFileBounded(at('link'), 10)).rejects.toEqual(refusal('not-a-file'));
    await expect(readFileBounded(directory, 10)).rejects.toEqual(refusal('not-a-file'));
    await expect(readFileBounded(at('fifo'), 10)).rejects.toEqual(refusal('not-a-file'));
    await expect(readFileBounded(at('none'), 10)).rejects.toEqual(refusal('not-found'));
    await expect(readFileBounded('/dev/zero', 10)).rejects.toEqual(refusal('not-a-file'));
  });
});

describe('writeFileAtomic and writeFileNew', () => {
  it('write with the mode asked for, replace or refuse, and leave nothing else behind', async () => {
    await writeFileNew(at('key'), 'one', 0o600);
    expect(statSync(at('key')).mode & 0o777).toBe(0o600);
    await expect(writeFileNew(at('key'), 'two', 0o600)).rejects.toEqual(refusal('already-exists'));
    expect(readFileSync(at('key'), 'utf8')).toBe('one');
    await writeFileAtomic(at('key'), 'three', 0o666);
    expect(readFileSync(at('key'), 'utf8')).toBe('three');
    expect(statSync(at('key')).mode & 0o777).toBe(0o666);
    await expect(writeFileAtomic(at('no/such/place'), 'x', 0o600)).rejects.toEqual(refusal('not-found'));
    expect(readdirSync(directory)).toEqual(['key']);
  });
});

describe('writeOutput', () => {
  it('writes into what is not a file and leaves it there: a FIFO, as it would a device', async () => {
    execFileSync('mkfifo', [at('fifo')]);
    symlinkSync('fifo', at('link'));
    for (const name of ['fifo', 'link']) {
      const reader = spawn('cat', [at('fifo')], { stdio: ['ignore', 'pipe', 'inherit'] });
      const read = text(reader.stdout);
      await writeOutput(at(name), 'report', 0o644);
      expect(await read).toBe('report');
    }
    expect(statSync(at('fifo')).isFIFO()).toBe(true);
    expect(readdirSync(directory)).toEqual(['fifo', 'link']);
  });
  it('writes a file whole, also where a link leads to it', async () => {
    writeFileSync(at('old'), 'old');
    symlinkSync('old', at('link'));
    for (const name of ['link', 'new']) await writeOutput(at(name), name, 0o644);
    expect(readFileSync(at('old'), 'utf8')).toBe('link');
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
    expect(readFileSync(at('new'), 'utf8')).toBe('new');
    await expect(writeOutput(directory, 'x', 0o644)).rejects.toEqual(refusal('not-a-file'));
    await expect(writeOutput(at('no/such'), 'x', 0o644)).rejects.toEqual(refusal('not-found'));
  });
});

describe('readBundleDirectory and writeBundleDirectory', () => {
  const files = bundle([newKey()]);
  const place = (): string => at('bundle');

  it('write a bundle into a new, an empty and an earlier place, and read it back', async () => {
    await writeBundleDirectory(place(), files);
    expect(await readBundleDirectory(place())).toEqual(files);
    const next = bundle([newKey()], { version: '2' });
    await writeBundleDirectory(place(), next);
    expect(await readBundleDirectory(place())).toEqual(next);
    expect(readdirSync(directory)).toEqual(['bundle']);
    expect(readdirSync(place()).toSorted()).toEqual(['manifest.mtree', 'policy.json', 'release.dsse.json']);
  });

  it('never write beside anything else', async () => {
    writeFileSync(at('precious'), '');
    await expect(writeBundleDirectory(directory, files)).rejects.toEqual(refusal('bundle-file-unexpected'));
    expect(readdirSync(directory)).toEqual(['precious']);
  });

  it('attack 45: refuse a missing file, an extra file, a link and a file too large', async () => {
    await writeBundleDirectory(place(), files);
    writeFileSync(at('bundle/extra'), '');
    await expect(readBundleDirectory(place())).rejects.toEqual(refusal('bundle-file-unexpected'));
    rmSync(at('bundle/extra'));
    rmSync(at('bundle/policy.json'));
    await expect(readBundleDirectory(place())).rejects.toEqual(refusal('bundle-file-missing'));
    symlinkSync('/etc/hostname', at('bundle/policy.json'));
    await expect(readBundleDirectory(place())).rejects.toEqual(refusal('bundle-file-irregular'));
    rmSync(at('bundle/policy.json'));
    execFileSync('truncate', ['-s', '1G', at('bundle/policy.json')]); // attack 50, sparse
    await expect(readBundleDirectory(place())).rejects.toEqual(refusal('bundle-file-too-large'));
    await expect(readBundleDirectory(at('none'))).rejects.toEqual(refusal('not-found'));
  });
});

import { chmod, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { latchPath, readLatch, writeLatch } from '../../../src/agent/measure/latch.ts';
import type { Verdict } from '../../../src/attestation/verdict.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const boot = '11111111-2222-3333-4444-555555555555';
const at = '2026-11-23T12:00:00.000Z';
const drifted: Verdict = {
  state: 'drifted',
  since: '2026-11-23T11:00:00.000Z',
  drift: [{ path: '/bin/sh', kind: 'modified', expected: 'a', actual: 'b', at }],
  driftTotal: 1,
  assurance: 'software',
};

describe('readLatch', () => {
  it('finds none where there is no file', async () => {
    expect(await readLatch(await temporaryDirectory(), boot, at)).toEqual({ kind: 'none' });
  });

  it('gives back what writeLatch wrote in the same boot', async () => {
    const directory = await temporaryDirectory();
    await writeLatch(directory, boot, drifted);
    expect(await readLatch(directory, boot, at)).toEqual({ kind: 'latched', verdict: drifted });
    expect((await stat(latchPath(directory))).mode & 0o7777).toBe(0o644);
  });

  it('is void in another boot', async () => {
    const directory = await temporaryDirectory();
    await writeLatch(directory, boot, drifted);
    expect(await readLatch(directory, boot.replace('1', '9'), at)).toEqual({ kind: 'other-boot' });
  });

  it.each([
    ['an empty file', ''],
    ['no JSON', 'drifted'],
    ['a latch cut short', '{"format":"sealborn-latch-1","bootId":"11111111-2222'],
    ['another format', `{"format":"sealborn-latch-2","bootId":"${boot}"}`],
    ['a verdict that is none', `{"format":"sealborn-latch-1","bootId":"${boot}","verdict":{"state":"fine"}}`],
    ['more than any latch holds', ' '.repeat(5 * 1024 * 1024)],
  ])('counts as latched: %s', async (_, content) => {
    const directory = await temporaryDirectory();
    await writeFile(latchPath(directory), content);
    expect(await readLatch(directory, boot, at)).toMatchObject({
      kind: 'latched',
      verdict: { state: 'drifted', since: at, reason: { code: 'latch-unreadable' } },
    });
  });

  it('counts as latched: a directory or a symbolic link at its place', async () => {
    const directory = await temporaryDirectory();
    await mkdir(latchPath(directory));
    expect(await readLatch(directory, boot, at)).toMatchObject({ kind: 'latched' });
    await rm(latchPath(directory), { recursive: true });
    await symlink('/nowhere', latchPath(directory));
    expect(await readLatch(directory, boot, at)).toMatchObject({ kind: 'latched' });
  });
});

describe('writeLatch', () => {
  it('replaces the one before whole', async () => {
    const directory = await temporaryDirectory();
    await writeLatch(directory, boot, drifted);
    await writeLatch(directory, boot, { ...drifted, driftTotal: 2 });
    expect(JSON.parse(await readFile(latchPath(directory), 'utf8'))).toMatchObject({
      bootId: boot,
      verdict: { driftTotal: 2 },
    });
  });

  it('throws where the directory is not there or not writable', async () => {
    const directory = await temporaryDirectory();
    await expect(writeLatch(`${directory}/none`, boot, drifted)).rejects.toMatchObject({ code: 'not-found' });
    await chmod(directory, 0o500);
    if (process.getuid?.() !== 0) {
      await expect(writeLatch(directory, boot, drifted)).rejects.toMatchObject({ code: 'permission-denied' });
    }
    await chmod(directory, 0o700);
  });
});

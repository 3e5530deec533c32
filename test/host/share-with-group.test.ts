import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { shareWithGroup } from '../../src/host/share-with-group.ts';

const isRoot = process.getuid?.() === 0;

async function files(): Promise<{ path: string; groups: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'sealborn-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const [path, groups] = [join(directory, 'socket'), join(directory, 'group')];
  await writeFile(path, '');
  await writeFile(
    groups,
    `root:x:0:\nmine:x:${process.getgid?.()}:\nsealborn-clients:x:4711:ana\nodd:x:y:\n`,
  );
  return { path, groups };
}

describe('shareWithGroup', () => {
  it('gives a file to a group and leaves its owner', async () => {
    const { path, groups } = await files();
    const { uid } = await stat(path);
    const group = isRoot ? 'sealborn-clients' : 'mine';
    expect(await shareWithGroup(path, group, groups)).toBe(true);
    expect(await stat(path)).toMatchObject({ uid, gid: isRoot ? 4711 : process.getgid?.() });
  });

  it('does nothing where there is no such group, no number, or no group file', async () => {
    const { path, groups } = await files();
    expect(await shareWithGroup(path, 'others', groups)).toBe(false);
    expect(await shareWithGroup(path, 'odd', groups)).toBe(false);
    expect(await shareWithGroup(path, 'root', `${groups}.none`)).toBe(false);
  });

  it('throws where the file is not there', async () => {
    const { path, groups } = await files();
    await expect(shareWithGroup(`${path}.none`, 'mine', groups)).rejects.toMatchObject({ code: 'not-found' });
  });
});

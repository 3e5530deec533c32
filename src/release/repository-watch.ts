import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { REPOSITORY_FOLDERS } from './repository.ts';

/** How often the repository is looked at. */
const INTERVAL_MS = 300;

/**
 * What a policy repository's files look like from outside: two looks are the same text where nothing was saved between
 * them. Looking again and again beats asking the kernel for events here: the files are few, editors replace them, and
 * an event that is lost would leave an old result on the screen.
 */
export async function lookAtRepository(directory: string): Promise<string> {
  const looks = [directory, ...REPOSITORY_FOLDERS.map((folder) => join(directory, folder))].map(lookAtFolder);
  return (await Promise.all(looks)).join('\n');
}

/** Waits until the repository differs from an earlier look and no longer changes. @throws AbortError */
export async function untilChanged(directory: string, before: string, signal: AbortSignal): Promise<void> {
  let last = before;
  for (;;) {
    await sleep(INTERVAL_MS, undefined, { signal });
    const now = await lookAtRepository(directory);
    if (now !== before && now === last) return;
    last = now;
  }
}

async function lookAtFolder(folder: string): Promise<string> {
  try {
    const names = (await readdir(folder)).sort();
    const looks = await Promise.all(names.map((name) => lookAtFile(join(folder, name))));
    return looks.join('\n');
  } catch {
    return `${folder}: none`;
  }
}

async function lookAtFile(path: string): Promise<string> {
  try {
    const { isFile, ino, size, mtimeNs } = await lookAt(path);
    return isFile ? `${path} ${ino} ${size} ${mtimeNs}` : '';
  } catch {
    return ''; // gone since it was listed
  }
}

async function lookAt(
  path: string,
): Promise<{ isFile: boolean; ino: bigint; size: bigint; mtimeNs: bigint }> {
  const found = await stat(path, { bigint: true });
  return { isFile: found.isFile(), ino: found.ino, size: found.size, mtimeNs: found.mtimeNs };
}

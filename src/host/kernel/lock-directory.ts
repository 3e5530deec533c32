import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { HostError, hostErrorOf } from '../host-error.ts';
import { EAGAIN, errno, flock } from './linux.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

/** A lock that this process holds on a directory. Releasing it again is fine. */
export type DirectoryLock = { release: () => Promise<void> };

/**
 * Takes the one lock that a directory has (flock(2) on the directory itself, so that no file is left behind). It goes
 * with the process, however that ends.
 * @param what what is in the directory, for the message
 * @throws HostError `directory-in-use` where another process holds it
 */
export async function lockDirectory(path: string, what: string): Promise<DirectoryLock> {
  const doing = `locking "${path}"`;
  let directory: FileHandle | undefined;
  try {
    directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    if (flock(directory.fd, LOCK_EX | LOCK_NB) !== 0) {
      const number = errno();
      if (number !== EAGAIN) throw new HostError('io-failed', `${doing}: error ${number}`);
      throw new HostError('directory-in-use', `${doing}: another process writes ${what} there`, {
        hint: `Is another sealborn running with the same settings? "fuser ${path}" names it.`,
      });
    }
  } catch (cause) {
    await directory?.close();
    throw hostErrorOf(doing, cause);
  }
  const held = directory;
  let isHeld = true;
  return {
    release: async () => {
      if (!isHeld) return;
      isHeld = false;
      await held.close();
    },
  };
}

import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { makeDirectory, readFileBounded, syncDirectory, writeFileAtomic } from './files.ts';
import { hostErrorOf } from './host-error.ts';

/** A file that waits in a spool. */
export type SpoolFile = { name: string; size: number };

/** A directory of small files that must survive a crash between being written and being dealt with. */
export type Spool = {
  directory: string;
  /** Writes a file whole and synced. */
  add: (name: string, bytes: Uint8Array) => Promise<void>;
  read: (name: string, maxBytes: number) => Promise<Buffer>;
  /** Removes a file; one that is not there is fine. */
  remove: (name: string) => Promise<void>;
  /** Moves a file into another spool of the same filesystem. */
  move: (name: string, to: Spool) => Promise<void>;
};

/**
 * Opens a spool, making its directory (mode 0700) if there is none, and lists the files whose names match, in
 * the order of their names. What a crash left half-written is removed.
 * @throws HostError, as all of the spool's functions do
 */
export async function openSpool(
  directory: string,
  pattern: RegExp,
): Promise<{ spool: Spool; files: SpoolFile[] }> {
  await makeDirectory(directory, 0o700);
  try {
    const files: SpoolFile[] = [];
    for (const name of (await readdir(directory)).sort()) {
      const path = join(directory, name);
      if (/^\..*\.tmp$/.test(name)) await rm(path, { force: true });
      else if (pattern.test(name)) files.push({ name, size: (await stat(path)).size });
    }
    return { spool: spoolAt(directory), files };
  } catch (cause) {
    throw hostErrorOf(`reading the directory "${directory}"`, cause);
  }
}

function spoolAt(directory: string): Spool {
  return {
    directory,
    add: (name, bytes) => writeFileAtomic(join(directory, name), bytes, 0o600),
    read: (name, maxBytes) => readFileBounded(join(directory, name), maxBytes),
    remove: async (name) => {
      try {
        await rm(join(directory, name), { force: true });
        await syncDirectory(directory);
      } catch (cause) {
        throw hostErrorOf(`removing "${join(directory, name)}"`, cause);
      }
    },
    move: async (name, to) => {
      try {
        await rename(join(directory, name), join(to.directory, name));
        await syncDirectory(to.directory);
        await syncDirectory(directory);
      } catch (cause) {
        throw hostErrorOf(`moving "${join(directory, name)}" to "${to.directory}"`, cause);
      }
    },
  };
}

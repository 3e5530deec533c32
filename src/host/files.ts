import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { HostError, hostErrorOf } from './host-error.ts';

/**
 * Reads a regular file of at most `maxBytes`. The last component may not be a symbolic link unless `follow` is
 * set; a FIFO or device is refused without blocking; size is checked before and while reading.
 * @throws HostError
 */
export async function readFileBounded(
  path: string,
  maxBytes: number,
  options: { follow?: boolean } = {},
): Promise<Buffer> {
  const doing = `reading "${path}"`;
  const noFollow = options.follow === true ? 0 : constants.O_NOFOLLOW;
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | noFollow);
    const stat = await file.stat();
    if (!stat.isFile()) throw new HostError('not-a-file', `${doing}: not a regular file`);
    if (stat.size > maxBytes) throw tooLarge(doing, maxBytes);
    const bytes = Buffer.allocUnsafeSlow(stat.size);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) throw new HostError('io-failed', `${doing}: it became shorter while it was read`);
      length += bytesRead;
    }
    const beyond = await file.read(Buffer.alloc(1), 0, 1, length);
    if (beyond.bytesRead > 0) throw new HostError('io-failed', `${doing}: it grew while it was read`);
    return bytes;
  } catch (cause) {
    throw hostErrorOf(doing, cause);
  } finally {
    await file?.close();
  }
}

function tooLarge(doing: string, maxBytes: number): HostError {
  return new HostError('file-too-large', `${doing}: it is larger than ${maxBytes} bytes`);
}

/**
 * Writes a file so that a reader, or a crash, sees the old content or the new and never a part: temporary file
 * in the same directory, fsync, rename, fsync of the directory.
 * @throws HostError; then nothing was left behind
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  await writeThrough(path, bytes, mode, (temporary) => rename(temporary, path));
}

/**
 * Like `writeFileAtomic`, but refuses where `path` exists already.
 * @throws HostError `already-exists`
 */
export async function writeFileNew(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  await writeThrough(path, bytes, mode, async (temporary) => {
    await link(temporary, path);
    await rm(temporary);
  });
}

/**
 * Writes what a user asked for where the user said: a file, or one that a link leads to, as `writeFileAtomic` does; a
 * device, pipe or FIFO is written into. As root, a rename over /dev/null would leave the machine without one.
 * @throws HostError
 */
export async function writeOutput(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  const doing = `writing "${path}"`;
  const present = await stat(path).catch(() => undefined);
  if (present === undefined) return writeFileAtomic(path, bytes, mode);
  try {
    if (present.isFile()) return await writeFileAtomic(await realpath(path), bytes, mode);
    await writeFile(path, bytes, { flag: constants.O_WRONLY | constants.O_NOCTTY });
  } catch (cause) {
    throw hostErrorOf(doing, cause);
  }
}

/** Makes a directory and its missing parents. @throws HostError */
export async function makeDirectory(path: string, mode = 0o755): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode });
  } catch (cause) {
    throw hostErrorOf(`making the directory "${path}"`, cause);
  }
}

/** Makes what happened in a directory (a file made, renamed, removed) survive a crash. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function writeThrough(
  path: string,
  bytes: Uint8Array | string,
  mode: number,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  let made = false;
  try {
    const file = await open(temporary, 'wx', mode);
    made = true;
    try {
      await file.chmod(mode); // the umask must not widen or narrow what the caller asked for
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(temporary);
    made = false;
    await syncDirectory(directory);
  } catch (cause) {
    if (made) await rm(temporary, { force: true });
    throw hostErrorOf(`writing "${path}"`, cause);
  }
}

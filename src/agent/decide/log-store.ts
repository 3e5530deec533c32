import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { makeDirectory, syncDirectory } from '../../host/files.ts';
import { HostError, hostErrorOf } from '../../host/host-error.ts';
import { lockDirectory } from '../../host/kernel/lock-directory.ts';
import { type LogFile, listLogFiles, logFileName } from '../../host/log/log-files.ts';
import { type ByteQueue, createByteQueue } from './byte-queue.ts';
import { type Recovered, recoverLog } from './recover-log.ts';
import type { DecisionLogSettings } from '../settings.ts';

/** The files of the decision log, for the one process that writes them. Every function throws HostError. */
export type LogStore = {
  /** What was there when it was opened. */
  recovered: Recovered;
  /** Whether the next line belongs into a new file. */
  isDue: (now: number) => boolean;
  /** Bytes that the file takes before the next one is due by its size. */
  room: () => number;
  /** Starts a new file with the line of this number. What is no longer kept then is removed by the next `sync`. */
  startFile: (seq: number, now: number) => Promise<void>;
  /** The number of the first line that is kept. */
  startsAt: () => number;
  /** Appends bytes; gives how many were taken, which may be fewer. */
  write: (bytes: Buffer) => Promise<number>;
  /**
   * Makes what was written safe, and removes the files that are no longer kept. After one that failed, what was not
   * safe is written anew by whatever comes next.
   */
  sync: () => Promise<void>;
  /** Bytes that were written and are not safe yet: they are kept in memory until they are. */
  unsafeBytes: () => number;
  close: () => Promise<void>;
};

const DIRECTORY_MODE = 0o750;
const FILE_MODE = 0o640;
const NEW = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL;
const EXISTING = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW;

type OpenFile = {
  handle: FileHandle;
  path: string;
  bytes: number;
  /** Where the bytes begin that are not safe, and these bytes. */
  safeBytes: number;
  unsafe: ByteQueue;
  /**
   * A sync failed. The kernel says so once, marks what it could not write as clean and may drop it (fsync(2), "EIO"), so
   * that the next sync would succeed without it.
   */
  isSuspect: boolean;
  since: number;
  /** Somebody removed or cut it: nothing more belongs there. */
  isLost: boolean;
};

/**
 * Opens the decision log in a directory, which is made where there is none, and mends what a crash left.
 * @throws HostError
 */
export async function openLogStore(directory: string, settings: DecisionLogSettings): Promise<LogStore> {
  await makeDirectory(directory, DIRECTORY_MODE);
  await using opening = new AsyncDisposableStack();
  const lock = await lockDirectory(directory, 'the decision log');
  opening.defer(lock.release);
  const recovered = await recoverLog(directory);
  let current = await reopen(recovered);
  opening.move();
  let removing: LogFile[] = [];
  let { startsAt } = recovered;

  const doing = <T>(what: string, run: (file: OpenFile) => Promise<T>): Promise<T> => {
    if (current === undefined) throw new Error('no file of the decision log is open');
    const file = current;
    return run(file).catch((cause: unknown) => {
      throw hostErrorOf(`${what} "${file.path}"`, cause);
    });
  };
  /** Writes what was not safe once more, so that the kernel has it as not written yet. */
  const repair = async (file: OpenFile): Promise<void> => {
    const { nlink, size } = await file.handle.stat();
    if (nlink === 0 || size < file.safeBytes) throw lose(file);
    await file.handle.truncate(file.safeBytes);
    await file.handle.appendFile(Buffer.from(file.unsafe.held())); // a copy: more may be written meanwhile
    file.isSuspect = false;
  };
  const sync = (): Promise<void> =>
    doing('syncing', async (file) => {
      if (file.isSuspect) await repair(file);
      const { bytes } = file;
      try {
        await file.handle.datasync();
      } catch (thrown) {
        file.isSuspect = true;
        throw thrown;
      }
      file.unsafe.drop(bytes - file.safeBytes);
      file.safeBytes = bytes;
      const { nlink, size } = await file.handle.stat();
      if (nlink === 0 || size < bytes) throw lose(file);
      for (const { path } of removing) await rm(path, { force: true });
      removing = [];
    });

  return {
    recovered,
    isDue: (now) =>
      current === undefined ||
      current.isLost ||
      current.bytes >= settings.fileBytes ||
      now - current.since >= settings.fileSeconds * 1000,
    room: () => settings.fileBytes - (current?.bytes ?? 0),
    startFile: async (seq, now) => {
      if (current?.isLost === false) await sync();
      await current?.handle.close();
      current = undefined;
      const { kept, gone } = await planRemoval(directory, settings);
      if (gone.length > 0) startsAt = kept[0]?.firstSeq ?? seq;
      const path = join(directory, logFileName(seq));
      try {
        const handle = await open(path, NEW, FILE_MODE);
        current = { ...nothingYet(), handle, path, since: now };
        await handle.chmod(FILE_MODE); // whatever the umask
        await syncDirectory(directory);
      } catch (cause) {
        throw hostErrorOf(`making "${path}"`, cause);
      }
      removing = gone;
    },
    startsAt: () => startsAt,
    write: (bytes) =>
      doing('writing', async (file) => {
        if (file.isSuspect) await repair(file);
        const { bytesWritten } = await file.handle.write(bytes);
        file.bytes += bytesWritten;
        bytes.copy(file.unsafe.reserve(bytesWritten), 0, 0, bytesWritten);
        file.unsafe.commit(bytesWritten);
        return bytesWritten;
      }),
    sync,
    unsafeBytes: () => (current === undefined ? 0 : current.bytes - current.safeBytes),
    close: async () => {
      await current?.handle.close();
      current = undefined;
      await lock.release();
    },
  };
}

function nothingYet(): Pick<OpenFile, 'bytes' | 'safeBytes' | 'unsafe' | 'isSuspect' | 'isLost'> {
  return { bytes: 0, safeBytes: 0, unsafe: createByteQueue(), isSuspect: false, isLost: false };
}

function lose(file: OpenFile): HostError {
  file.isLost = true;
  return new HostError('io-failed', `"${file.path}" was removed or cut while it was written`, {
    hint: 'Nothing but the agent may change the files of the decision log.',
  });
}

/** Goes on in the last file, so that an agent that restarts often does not leave a file each time. */
async function reopen({ last }: Recovered): Promise<OpenFile | undefined> {
  if (last === undefined) return undefined;
  try {
    const handle = await open(last.file.path, EXISTING);
    // Whoever wrote it may have ended before it was safe.
    await handle.datasync();
    const { size } = await handle.stat();
    return { ...nothingYet(), handle, path: last.file.path, bytes: size, safeBytes: size, since: last.since };
  } catch (cause) {
    throw hostErrorOf(`opening "${last.file.path}"`, cause);
  }
}

/** Which files go so that one more of full size has room. */
async function planRemoval(
  directory: string,
  { fileBytes, keepBytes }: DecisionLogSettings,
): Promise<{ kept: LogFile[]; gone: LogFile[] }> {
  const { files, torn } = await listLogFiles(directory);
  const all = [...files, ...torn].sort((a, b) => a.firstSeq - b.firstSeq);
  let total = all.reduce((sum, { bytes }) => sum + bytes, fileBytes);
  const gone: LogFile[] = [];
  for (const file of all) {
    if (total <= keepBytes) break;
    gone.push(file);
    total -= file.bytes;
  }
  return { kept: files.filter((file) => !gone.includes(file)), gone };
}

import { type FileHandle, open, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';

import { type LogHead, MAX_LOG_LINE_BYTES, readPlace } from '../../attestation/log-line.ts';
import { type Sha256, sha256, sha256Stream } from '../../base/digest.ts';
import { BaseError } from '../../base/errors.ts';
import { type JsonValue, parseJson } from '../../base/json.ts';
import { isObject } from '../../base/shape.ts';
import { syncDirectory } from '../../host/files.ts';
import { errnoOf, hostErrorOf } from '../../host/host-error.ts';
import { type LogFile, listLogFiles, tornFileName } from '../../host/log/log-files.ts';

/** Where a decision log stands that an earlier process wrote. */
export type Recovered = {
  /** The last whole line, its file, and when that was begun; absent where there is no line. */
  last?: LogHead & { file: LogFile; since: number };
  /**
   * The number of the first line that is kept, as the log itself says. Not as the directory does: a file that
   * somebody removed must go on missing.
   */
  startsAt: number;
  /** What a crash left half-written, and no line of the log names yet. */
  torn?: { file: string; bytes: number; sha256: Sha256 };
};

type Piece = { file: LogFile; from: number };

const FIRST_WINDOW_BYTES: number = 2 * MAX_LOG_LINE_BYTES;
const COPY_BYTES = 1024 * 1024;

/**
 * Finds the last whole line of a log. What stands after it (a line that a crash cut, blocks of zeros) is moved
 * into a file of its own beside it, never dropped.
 * @throws HostError
 */
export async function recoverLog(directory: string): Promise<Recovered> {
  const { files } = await listLogFiles(directory);
  const pieces: Piece[] = [];
  let last: Recovered['last'];
  let startsAt = 1;
  for (const file of files.toReversed()) {
    const found = await reading(file.path, () => findLastLine(file));
    if (found !== undefined) {
      last = { seq: found.seq, head: found.head, file, since: found.since };
      ({ startsAt } = found);
    }
    if (file.bytes === 0) await rm(file.path, { force: true });
    else if ((found?.end ?? 0) < file.bytes) pieces.unshift({ file, from: found?.end ?? 0 });
    if (found !== undefined) break;
  }
  const name = tornFileName((last?.seq ?? 0) + 1);
  await reading(join(directory, name), () => setAside(directory, name, pieces));
  const torn = await reading(join(directory, name), () => describeTorn(directory, name));
  return {
    ...(last === undefined ? {} : { last }),
    startsAt,
    ...(torn === undefined ? {} : { torn }),
  };
}

async function reading<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw hostErrorOf(`reading "${path}"`, cause);
  }
}

type Found = LogHead & FirstLine & { end: number };

async function findLastLine({ path, bytes }: LogFile): Promise<Found | undefined> {
  await using file = await open(path, 'r');
  for (let window = FIRST_WINDOW_BYTES; ; window *= 8) {
    const from = Math.max(0, bytes - window);
    const found = lastLineOf(await readAt(file, from, bytes - from), from === 0);
    if (found !== undefined) {
      const first = readFirstLine(await readAt(file, 0, Math.min(bytes, MAX_LOG_LINE_BYTES)));
      return { ...found, ...first, end: from + found.end };
    }
    if (from === 0) return undefined;
  }
}

async function readAt(file: FileHandle, from: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, from);
  return buffer.subarray(0, bytesRead);
}

function lastLineOf(bytes: Buffer, isStart: boolean): (LogHead & { end: number }) | undefined {
  let end = bytes.lastIndexOf(0x0a);
  while (end >= 0) {
    const before = end === 0 ? -1 : bytes.lastIndexOf(0x0a, end - 1);
    if (before < 0 && !isStart) return undefined;
    const line = bytes.subarray(before + 1, end);
    const place = readPlace(line);
    if (place !== undefined && parseLine(line) !== undefined) {
      return { seq: place.seq, head: sha256(line), end: end + 1 };
    }
    end = before;
  }
  return undefined;
}

function parseLine(line: Buffer): JsonValue | undefined {
  try {
    return parseJson(line, 'line', { maxBytes: MAX_LOG_LINE_BYTES });
  } catch (thrown) {
    if (thrown instanceof BaseError) return undefined;
    throw thrown;
  }
}

type FirstLine = { since: number; startsAt: number };

/** What the first line of a file says: when it was begun, in milliseconds, and where the log started then. */
function readFirstLine(start: Buffer): FirstLine {
  const end = start.indexOf(0x0a);
  const first = end < 0 ? undefined : parseLine(start.subarray(0, end));
  const { timestamp, startsAt } = isObject(first) ? first : {};
  const since = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  return {
    since: Number.isNaN(since) ? 0 : since,
    startsAt: typeof startsAt === 'number' && Number.isSafeInteger(startsAt) ? startsAt : 1,
  };
}

async function setAside(directory: string, name: string, pieces: readonly Piece[]): Promise<void> {
  if (pieces.length === 0) return;
  {
    await using to = await open(join(directory, name), 'a', 0o640);
    for (const { file, from } of pieces) {
      await using source = await open(file.path, 'r');
      for (let at = from; at < file.bytes; at += COPY_BYTES) {
        await to.writeFile(await readAt(source, at, Math.min(COPY_BYTES, file.bytes - at)));
      }
    }
    await to.sync();
  }
  await syncDirectory(directory);
  for (const { file, from } of pieces) await (from === 0 ? rm(file.path) : truncate(file.path, from));
  await syncDirectory(directory);
}

async function describeTorn(directory: string, name: string): Promise<Recovered['torn']> {
  try {
    await using file = await open(join(directory, name), 'r');
    const { size } = await file.stat();
    const hash = sha256Stream();
    for (let at = 0; at < size; at += COPY_BYTES) hash.update(await readAt(file, at, COPY_BYTES));
    return { file: name, bytes: size, sha256: hash.digest() };
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';

import { type LogSummary, createLogChecker } from '../../attestation/log-chain.ts';
import { type LogHead, MAX_LOG_LINE_BYTES } from '../../attestation/log-line.ts';
import { HostError, hostErrorOf } from '../host-error.ts';
import { listLogFiles } from './log-files.ts';
import type { Progress } from '../measure/hash-pool.ts';
import { readLines } from '../net/read-lines.ts';

export type LogCheck = LogSummary & {
  files: number;
  bytes: number;
  seconds: number;
  /** Bytes after the last newline: a line that is being written, or that a crash cut. */
  unfinishedBytes: number;
};

/**
 * The files of a decision log, oldest first: those of a directory, which are all there are, or the ones named.
 * @throws HostError
 */
export async function findLog(places: readonly string[]): Promise<{ paths: string[]; complete: boolean }> {
  const [only = '', ...others] = places;
  if (others.length === 0 && (await sizeOf(only)) === undefined) {
    const { files } = await listLogFiles(only);
    if (files.length === 0) {
      throw new HostError('not-found', `"${only}" holds no file of a decision log (decisions-….jsonl)`);
    }
    return { paths: files.map(({ path }) => path), complete: true };
  }
  // Names sort as their lines do.
  return { paths: places.toSorted((a, b) => (basename(a) < basename(b) ? -1 : 1)), complete: false };
}

/**
 * Checks the chain of a decision log in bounded memory.
 * @throws HostError where a file can't be read, or was removed by rotation meanwhile
 */
export async function checkLog(
  places: readonly string[],
  known: LogHead | undefined,
  onProgress: (progress: Progress) => void = () => undefined,
): Promise<LogCheck> {
  const started = performance.now();
  const { paths, complete } = await findLog(places);
  const sizes = await Promise.all(paths.map((path) => sizeOf(path)));
  const totalBytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  const checker = createLogChecker({ complete, ...(known === undefined ? {} : { known }) });
  const done = { files: 0, bytes: 0 };
  let unfinishedBytes = 0;
  for (const path of paths) {
    const name = basename(path);
    let broken = false;
    let lines = 0;
    const { rest } = await readLines(
      path,
      MAX_LOG_LINE_BYTES,
      (line, number) => {
        lines = number;
        broken = checker.take(line, { file: name, line: number });
        return broken;
      },
      (bytes) => {
        done.bytes += bytes;
        const seconds = (performance.now() - started) / 1000;
        onProgress({ ...done, totalFiles: paths.length, totalBytes, seconds });
      },
    );
    done.files += 1;
    unfinishedBytes = rest.length;
    if (broken) break;
    if (rest.length > 0 && path !== paths.at(-1)) {
      checker.cut({ file: name, line: lines + 1 }); // no file but the last ends within a line
    }
  }
  return { ...checker.finish(), ...done, unfinishedBytes, seconds: (performance.now() - started) / 1000 };
}

/** Bytes of a regular file; undefined for a directory. @throws HostError */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isDirectory() ? undefined : found.size;
  } catch (cause) {
    throw hostErrorOf(`reading "${path}"`, cause);
  }
}

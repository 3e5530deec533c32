import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { hostErrorOf } from '../host-error.ts';

/** A file of a decision log. */
export type LogFile = {
  path: string;
  name: string;
  /** The number of its first line. */
  firstSeq: number;
  bytes: number;
};

const NAME = /^decisions-(\d{16})\.jsonl$/;
const TORN = /^decisions-\d{16}\.torn$/;

/** The name of the file that begins with this line; names sort as their lines do. */
export function logFileName(firstSeq: number): string {
  return `decisions-${String(firstSeq).padStart(16, '0')}.jsonl`;
}

/** Where the half-written end of a log goes that would have become this line. */
export function tornFileName(seq: number): string {
  return `decisions-${String(seq).padStart(16, '0')}.torn`;
}

/**
 * The files of the decision log in a directory, oldest first; and what crashes left half-written.
 * @throws HostError
 */
export async function listLogFiles(directory: string): Promise<{ files: LogFile[]; torn: LogFile[] }> {
  const found: { files: LogFile[]; torn: LogFile[] } = { files: [], torn: [] };
  try {
    for (const name of (await readdir(directory)).sort()) {
      const isTorn = TORN.test(name);
      if (!isTorn && !NAME.test(name)) continue;
      const path = join(directory, name);
      const { size } = await stat(path);
      found[isTorn ? 'torn' : 'files'].push({
        path,
        name,
        firstSeq: Number(name.slice(10, 26)),
        bytes: size,
      });
    }
    return found;
  } catch (cause) {
    throw hostErrorOf(`reading the directory "${directory}"`, cause);
  }
}

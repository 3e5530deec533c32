import { readFile } from 'node:fs/promises';

import type { LogHead } from '../../src/attestation/log-line.ts';
import { type LogCheck, checkLog as check } from '../../src/host/log/check-log.ts';
import { listLogFiles } from '../../src/host/log/log-files.ts';

export type LogLine = { readonly [field: string]: unknown };

/** Every line of the decision log in a directory; an unfinished last one is left out. */
export async function readLog(directory: string): Promise<LogLine[]> {
  const { files } = await listLogFiles(directory);
  const texts = await Promise.all(files.map(({ path }) => readFile(path, 'utf8')));
  return texts.flatMap((text) =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine),
  );
}

/** Checks the decision log in a directory. */
export async function checkLog(directory: string, { known }: { known?: LogHead } = {}): Promise<LogCheck> {
  return check([directory], known);
}

import { readFile } from 'node:fs/promises';

import { type LogCheckOptions, type LogSummary, createLogChecker } from '../../src/attestation/log-chain.ts';
import { MAX_LOG_LINE_BYTES } from '../../src/attestation/log-line.ts';
import { listLogFiles } from '../../src/host/log-files.ts';
import { readLines } from '../../src/host/read-lines.ts';

export type LogLine = { readonly [field: string]: unknown };

/** Every line of the decision log in a directory; the last one may be unfinished. */
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
export async function checkLog(
  directory: string,
  options: Partial<LogCheckOptions> = {},
): Promise<LogSummary> {
  const checker = createLogChecker({ complete: true, ...options });
  for (const { name, path } of (await listLogFiles(directory)).files) {
    await readLines(path, MAX_LOG_LINE_BYTES, (line, number) =>
      checker.take(line, { file: name, line: number }),
    );
  }
  return checker.finish();
}

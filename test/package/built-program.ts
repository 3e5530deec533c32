import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Metafile } from 'esbuild';

import { thisArchitecture } from '../../scripts/package/architecture.ts';
import { makeExecutable } from '../../scripts/package/single-executable.ts';

/** Whether this machine has what the build of an executable needs beside npm's packages. */
export function canBuild(): boolean {
  try {
    execFileSync(thisArchitecture().strip, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write(`skipped: ${thisArchitecture().strip} (binutils) is not installed\n`);
    return false;
  }
}

export type BuiltProgram = { directory: string; program: string; inside: string[]; remove: () => void };

/** The host program as it is packaged, in a directory of its own. */
export async function buildHostProgram(): Promise<BuiltProgram> {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-program-'));
  const program = join(directory, 'lib/sealborn');
  const parts: Metafile[] = await makeExecutable({
    entry: 'src/main-host.ts',
    architecture: thisArchitecture(),
    out: program,
    measures: true,
  });
  return {
    directory,
    program,
    inside: parts.flatMap(({ inputs }) => Object.keys(inputs)),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

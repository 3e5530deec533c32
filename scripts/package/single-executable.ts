import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { type BuildOptions, type Metafile, build } from 'esbuild';

import { BUNDLE, WORKERS, project } from '../bundle.ts';
import type { Architecture } from './architecture.ts';
import { V8_FLAGS } from '../../src/host/v8-flags.ts';

const run = promisify(execFile);

export type ProgramPlan = {
  /** The entry, from the project's directory: `src/main-host.ts`. */
  entry: string;
  architecture: Architecture;
  /** Where the executable goes. */
  out: string;
  /** Whether it hashes files and calls the C library: then its threads go in and koffi.node beside it. */
  measures: boolean;
};

/**
 * Makes one executable of Node and a program (Node's "single executable application"). The same sources and
 * dependencies give the same bytes; so there is no code cache in it, which V8 makes different each time
 * (docs/decisions/0004).
 *
 * `execArgvExtension: none` makes the program deaf to NODE_OPTIONS.
 * @returns what went into it, for the test that nothing of the pipeline does
 */
export async function makeExecutable(plan: ProgramPlan): Promise<Metafile[]> {
  const work = await mkdtemp(join(tmpdir(), 'sealborn-program-'));
  try {
    const options: BuildOptions = {
      ...BUNDLE,
      // As ES modules, all of Node's modules that are named anywhere would be loaded before the first line runs,
      // every export of them looked at: 40 ms for node:http alone. And a thread given its code runs it as this.
      format: 'cjs',
      banner: {},
      define: { 'import.meta.url': '"sealborn:inside"' },
      alias: { koffi: project('src/host/kernel/koffi-beside-program.ts') },
    };
    const main = await build({
      ...options,
      entryPoints: [project(plan.entry)],
      outfile: join(work, 'main.js'),
      // Names stay, so that a stack trace in a bug report can be read.
      minifyWhitespace: true,
      minifySyntax: true,
      metafile: true,
    });
    const workers = await build({
      ...options,
      entryPoints: plan.measures ? WORKERS.map((name) => project(`src/host/threads/${name}.ts`)) : [],
      outdir: join(work, 'workers'),
      metafile: true,
    });
    const node = join(work, 'node');
    await copyFile(project(plan.architecture.node), node);
    // Before anything is put in: a finished executable can't be stripped. It takes a fifth off.
    await run(plan.architecture.strip, ['--strip-all', node]);
    await mkdir(dirname(plan.out), { recursive: true });
    await writeFile(
      join(work, 'sea.json'),
      JSON.stringify({
        main: 'main.js', // as it stands here, it stands in the executable
        executable: node,
        output: plan.out,
        disableExperimentalSEAWarning: true,
        useCodeCache: false,
        execArgv: V8_FLAGS,
        execArgvExtension: 'none',
        assets: plan.measures
          ? Object.fromEntries(WORKERS.map((name) => [`${name}.js`, join('workers', `${name}.js`)]))
          : {},
      }),
    );
    await run(process.execPath, ['--build-sea', 'sea.json'], { cwd: work });
    await chmod(plan.out, 0o755);
    if (plan.measures) {
      const beside = join(dirname(plan.out), 'koffi.node');
      await copyFile(project(plan.architecture.koffi), beside);
      await chmod(beside, 0o644);
    }
    return [main.metafile, workers.metafile];
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

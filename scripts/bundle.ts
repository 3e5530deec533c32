import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { BuildOptions } from 'esbuild';

/** The path of something in this project. */
export const project = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** The entries of threads, `hash-worker` for `src/host/threads/hash-worker.ts`: each becomes a file of its own. */
export const WORKERS: readonly string[] = readdirSync(project('src/host/threads'))
  .filter((name) => name.endsWith('-worker.ts') && name !== 'start-worker.ts')
  .map((name) => name.slice(0, -'.ts'.length))
  .toSorted();

/** How every program of this project is bundled. */
export const BUNDLE: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'esm',
  banner: {
    // Some dependencies are CommonJS and call require() for modules of Node.
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
};

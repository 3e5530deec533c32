/**
 * Makes `dist/`: `sealborn.js`, the whole program in one file, `hash-worker.js`, the file that its hashing
 * threads run, and `client.js` with `client.d.ts`, which other programs import as `sealborn/client`. koffi and cedar-wasm stay outside: both load a file of their own (a native library, a wasm
 * module) from beside themselves.
 */
import { execFileSync } from 'node:child_process';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const path = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

await rm(path('dist'), { recursive: true, force: true });
const result = await build({
  entryPoints: { sealborn: path('src/main.ts'), 'hash-worker': path('src/host/hash-worker.ts') },
  outdir: path('dist'),
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'esm',
  external: ['koffi', '@cedar-policy/cedar-wasm'],
  banner: {
    // Some dependencies are CommonJS and call require() for modules of Node.
    js: '#!/usr/bin/env node\nimport { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
const client = await build({
  entryPoints: { client: path('src/client/client.ts') },
  outdir: path('dist'),
  bundle: true,
  platform: 'node',
  target: 'node22', // it runs in other people's programs
  format: 'esm',
  metafile: true,
  logLevel: 'warning',
});
execFileSync(
  process.execPath,
  [path('node_modules/typescript/bin/tsc'), '--project', path('src/client/tsconfig.json')],
  { stdio: 'inherit' },
);
await rm(path('dist/connection.d.ts')); // client.d.ts holds every type that is public
await chmod(path('dist/sealborn.js'), 0o755);
await writeFile(path('dist/meta.json'), JSON.stringify(result.metafile));
const outputs = { ...result.metafile.outputs, ...client.metafile.outputs };
for (const [file, { bytes }] of Object.entries(outputs)) {
  process.stdout.write(`${file}  ${(bytes / 1000).toFixed(0)} KB\n`);
}

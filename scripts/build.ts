/**
 * Makes `dist/`: `sealborn.js`, which starts `program.js`, the pipeline's program with every verb in one file; the files
 * that its threads run; and `client.js` with `client.d.ts`, which other programs import as `sealborn/client`. koffi and
 * cedar-wasm stay outside: both load a file of their own (a native library, a wasm module) from beside themselves. What
 * goes into an image is made by scripts/package.ts.
 */
import { execFileSync } from 'node:child_process';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';

import { build } from 'esbuild';

import { BUNDLE, WORKERS, project } from './bundle.ts';
import { launcher } from './launcher.ts';

await rm(project('dist'), { recursive: true, force: true });
const result = await build({
  ...BUNDLE,
  entryPoints: {
    program: project('src/main.ts'),
    ...Object.fromEntries(WORKERS.map((name) => [name, project(`src/host/threads/${name}.ts`)])),
  },
  outdir: project('dist'),
  external: ['koffi', '@cedar-policy/cedar-wasm'],
  metafile: true,
});
const client = await build({
  entryPoints: { client: project('src/client/client.ts') },
  outdir: project('dist'),
  bundle: true,
  platform: 'node',
  target: 'node22', // it runs in other people's programs
  format: 'esm',
  metafile: true,
  logLevel: 'warning',
});
execFileSync(
  process.execPath,
  [project('node_modules/typescript/bin/tsc'), '--project', project('src/client/tsconfig.json')],
  { stdio: 'inherit' },
);
await rm(project('dist/connection.d.ts')); // client.d.ts holds every type that is public
const { engines } = JSON.parse(await readFile(project('package.json'), 'utf8')) as {
  engines: { node: string };
};
await writeFile(project('dist/sealborn.js'), launcher(engines.node.replace('>=', '')));
await chmod(project('dist/sealborn.js'), 0o755);
await writeFile(project('dist/meta.json'), JSON.stringify(result.metafile));
const outputs = { ...result.metafile.outputs, ...client.metafile.outputs };
for (const [file, { bytes }] of Object.entries(outputs)) {
  process.stdout.write(`${file}  ${(bytes / 1000).toFixed(0)} KB\n`);
}

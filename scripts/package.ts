/**
 * npm run -s package -- [--arch amd64,arm64] [--out DIR] [--compression 0-9]
 *
 * Makes the Debian packages `sealborn` and `sealborn-collector`, by default for this machine's architecture, into
 * dist/packages. Everything in them is dated SOURCE_DATE_EPOCH, or else the last commit.
 */
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { project } from './bundle.ts';
import { AMD64, type Architecture, ARM64, thisArchitecture } from './package/architecture.ts';
import { fetchParts } from './package/fetch-parts.ts';
import { makePackage } from './package/debian.ts';

const { values: flags } = parseArgs({
  options: {
    arch: { type: 'string', default: thisArchitecture().debian },
    out: { type: 'string', default: project('dist/packages') },
    compression: { type: 'string', default: '6' },
  },
});
const epoch = Number(
  process.env['SOURCE_DATE_EPOCH'] ??
    execFileSync('git', ['-C', project('.'), 'log', '-1', '--format=%ct'], { encoding: 'utf8' }),
);

for (const wanted of flags.arch.split(',')) {
  const architecture = architectureOf(wanted);
  await fetchParts(architecture);
  for (const name of ['sealborn', 'sealborn-collector'] as const) {
    const compression = Number(flags.compression);
    const file = await makePackage({ name, architecture, out: resolve(flags.out), epoch, compression });
    process.stdout.write(`${file}  ${(statSync(file).size / 1e6).toFixed(1)} MB\n`);
  }
}

function architectureOf(name: string): Architecture {
  const found = [AMD64, ARM64].find(({ debian }) => debian === name);
  if (found === undefined) throw new Error(`--arch ${name}: it is amd64 or arm64`);
  return found;
}

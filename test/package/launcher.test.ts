import { runInNewContext } from 'node:vm';

import { expect, test } from 'vitest';

import { launcher } from '../../scripts/launcher.ts';

/** What the launcher says under a Node.js of this version, with its exit code; `started` where it starts the program. */
async function under(node: string): Promise<unknown> {
  const said: string[] = [];
  const process: { versions: { node: string }; exitCode?: number } = { versions: { node } };
  const body = launcher('24.12')
    .replace(/^#!.*\n/, '')
    .replace("import('./program.js')", 'start()');
  const surroundings = {
    process,
    console: { error: (words: string) => void said.push(words) },
    start: () => void said.push('started'),
  };
  await runInNewContext(`(async () => {${body}})()`, surroundings);
  return [process.exitCode ?? 0, ...said];
}

test.each(['24.12.0', '24.13.1', '26.0.0', '100.1.0'])(
  'dist/sealborn.js starts under Node.js %s',
  async (node) => {
    expect(await under(node)).toEqual([0, 'started']);
  },
);

test.each(['18.20.4', '20.20.2', '24.11.9'])(
  'dist/sealborn.js says that Node.js %s is too old',
  async (node) => {
    expect(await under(node)).toEqual([
      69,
      expect.stringContaining(`error: this is Node.js ${node}; it takes 24.12 or newer`),
    ]);
  },
);

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, onTestFinished, test } from 'vitest';

import { ATTACK_ROWS, rowOf } from './support/attack-row.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));

/** The names of the tests in a folder, as the runner itself lists them: each case of a table by its own name. */
function namesIn(folder: string): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-list-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const list = join(directory, 'list.json');
  const vitest = join(PROJECT, 'node_modules/vitest/vitest.mjs');
  execFileSync(process.execPath, [vitest, 'list', folder, '--staticParse=false', `--json=${list}`], {
    cwd: PROJECT,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, VITEST: undefined, VITEST_WORKER_ID: undefined, VITEST_POOL_ID: undefined },
  });
  const tests = JSON.parse(readFileSync(list, 'utf8')) as { name: string }[];
  return tests.map(({ name }) => name.split(' > ').at(-1) ?? '');
}

test('every row of the attack table has a test of its own number in test/system', () => {
  const rows = new Set(namesIn('test/system/').map(rowOf));
  const missing = Array.from({ length: ATTACK_ROWS }, (_, at) => at + 1).filter((row) => !rows.has(row));
  expect(missing).toEqual([]);
});

test('rowOf takes the number that a name begins with, and no other', () => {
  expect(['1: a', '50: b', '51: c', '0: d', 'row 7: e', '7 f', '7: '].map(rowOf)).toEqual([
    1,
    50,
    undefined,
    undefined,
    undefined,
    undefined,
    7,
  ]);
});

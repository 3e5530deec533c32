import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { until } from '../agent/until.ts';

it(
  'sealborn test --watch runs again at each change, shows what is wrong and goes on',
  { timeout: 60_000 },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealborn-watch-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await cp(join(import.meta.dirname, '../../examples/payments'), directory, { recursive: true });
    const main = join(import.meta.dirname, '../../src/main.ts');
    const child = spawn(process.execPath, [main, 'test', directory, '--watch']);
    onTestFinished(() => void child.kill('SIGKILL'));
    let out = '';
    let err = '';
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    const runs = (count: number): Promise<unknown> =>
      until(`run ${count}`, () => err.split('watching ').length > count, 30_000);

    await runs(1);
    expect(out).toMatch(/^passed {2}42 of 42 questions/);

    // In place, as some editors save; then by a rename, as others do; then a file that is new.
    const policies = join(directory, 'policies/roles.cedar');
    const right = await readFile(policies, 'utf8');
    await writeFile(policies, `${right}\npermit (`);
    await runs(2);
    expect(err).toMatch(/sealborn: error: policies\/roles\.cedar:\d+:\d+: /);

    await writeFile(`${policies}.new`, right);
    await rename(`${policies}.new`, policies);
    await runs(3);
    expect(out.match(/passed {2}42 of 42/g)).toHaveLength(2);

    await writeFile(
      join(directory, 'tests/more.yaml'),
      'tests: [{name: x, principals: [User::nobody], actions: [ReadPayment], resources: [Ledger::main], permit: [User::nobody ReadPayment Ledger::main]}]',
    );
    await runs(4);
    expect(out).toMatch(/failed {2}42 of 43 questions/);

    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(1);
  },
);

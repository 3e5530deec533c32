import { execFile } from 'node:child_process';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { verifyReport } from '../../src/attestation/report.ts';
import { ana, ask, key, nginx, start } from './authz-machine.ts';
import { until } from './until.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Runs `sealborn log verify`. */
async function verify(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, 'log', 'verify', ...args], (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

describe('sealborn log verify', () => {
  it('holds the log against the running agent and against its last report, and finds a cut end by either', async () => {
    // Nobody takes the reports, so that they wait in the spool as a collector would have got them.
    const { machine, server } = await start('collector: {url: "http://127.0.0.1:9", intervalSeconds: 1}');
    const { logDirectory, stateDirectory } = machine.settings();
    const at = { socketPath: server.decideSocket };
    for (let count = 0; count < 5; count += 1) {
      await ask(at, 'GET', '/authz/nginx', [...nginx('GET', '/documents/1'), key(ana)]);
    }
    const spool = join(stateDirectory, 'spool');
    const report = await until('a report that holds the last line', async () => {
      const names = await readdir(spool).catch(() => []);
      // One that is being written has another name.
      for (const name of names.filter((one) => !one.startsWith('.'))) {
        const body = await readFile(join(spool, name)).catch(() => undefined);
        if (body !== undefined && verifyReport(body).decisionLog?.seq === 6) return body;
      }
      return undefined;
    });
    const kept = join(machine.directory, 'report.json');
    await writeFile(kept, report);

    const bySocket = await verify(logDirectory, '--socket', server.decideSocket, '--json');
    expect(JSON.parse(bySocket.out)).toMatchObject({ result: 'good', head: 'matched', decisions: 5 });
    const byReport = await verify(logDirectory, '--report', kept);
    expect(byReport.out).toContain('checked    the chain, and line 6 against the known head');
    expect([bySocket.code, byReport.code]).toEqual([0, 0]);
    expect((await verify(logDirectory, '--report', kept, '--socket', server.decideSocket)).code).toBe(64);

    // Another end, as whoever holds the disk can write it: the chain alone is whole.
    const [name = ''] = (await readdir(logDirectory)).filter((file) => file.endsWith('.jsonl'));
    const whole = await readFile(join(logDirectory, name), 'utf8');
    const cut = join(machine.directory, name);
    await writeFile(cut, `${whole.split('\n').slice(0, 4).join('\n')}\n`);
    expect((await verify(cut)).code).toBe(0);
    for (const held of [
      ['--socket', server.decideSocket],
      ['--report', kept],
    ]) {
      const found = await verify(cut, ...held, '--json');
      expect(found.code).toBe(1);
      expect(JSON.parse(found.out)).toMatchObject({ result: 'broken', break: { kind: 'truncated' } });
    }

    // A report that was changed holds nothing, and an agent that is gone is said to be.
    await writeFile(kept, String(report).replace('eyJ', 'eyK'));
    expect(await verify(logDirectory, '--report', kept)).toMatchObject({ code: 2 });
    const gone = await verify(logDirectory, '--socket', join(machine.directory, 'gone.sock'));
    expect(gone.code).toBeGreaterThan(1);
    expect(gone.err).toMatch(/^sealborn: error: /);
  });
});

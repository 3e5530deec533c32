import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { activatedSockets } from '../../../src/host/kernel/activated-sockets.ts';
import { requestUnix } from '../../../src/host/net/unix-http.ts';
import { until } from '../../agent/until.ts';

const here = { LISTEN_PID: String(process.pid) };

describe('activatedSockets', () => {
  it('gives descriptors from 3 on by their names', () => {
    const given = activatedSockets({
      ...here,
      LISTEN_FDS: '2',
      LISTEN_FDNAMES: 'decide.sock:decide.ndjson.sock',
    });
    expect([...given]).toEqual([
      ['decide.sock', 3],
      ['decide.ndjson.sock', 4],
    ]);
  });

  it('gives none where nothing was handed over, or to another process', () => {
    expect(activatedSockets({}).size).toBe(0);
    expect(activatedSockets({ LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'a' }).size).toBe(0);
  });

  it.for([
    { LISTEN_FDS: '2', LISTEN_FDNAMES: 'a' },
    { LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:a' },
    { LISTEN_FDS: '1' },
    { LISTEN_FDS: '-1', LISTEN_FDNAMES: '' },
    { LISTEN_FDS: '17', LISTEN_FDNAMES: Array.from({ length: 17 }, (_, i) => `s${i}`).join(':') },
  ])('refuses what makes no sense: %j', (environment) => {
    expect(() => activatedSockets({ ...here, ...environment })).toThrow('systemd hands over');
  });
});

const hasActivate = ((): boolean => {
  try {
    execFileSync('systemd-socket-activate', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write('skipped: systemd-socket-activate is not installed\n');
    return false;
  }
})();

describe.skipIf(!hasActivate)('serveHttp on a socket that systemd made', () => {
  it('answers, also a client that came before it ran, and leaves the socket file when it ends', async () => {
    const place = mkdtempSync(join(tmpdir(), 'sealborn-activate-'));
    onTestFinished(() => rmSync(place, { recursive: true, force: true }));
    const path = join(place, 'decide.sock');
    const program = `
      import { serveHttp } from ${JSON.stringify(join(import.meta.dirname, '../../../src/host/net/http-server.ts'))};
      import { activatedSockets } from ${JSON.stringify(join(import.meta.dirname, '../../../src/host/kernel/activated-sockets.ts'))};
      const fd = activatedSockets(process.env).get('decide.sock');
      const server = await serveHttp({
        listen: { path: ${JSON.stringify(path)}, mode: 0o600, fd },
        handle: () => ({ status: 200, headers: {}, body: String(fd) }),
        maxBodyBytes: 10, maxConnections: 10, headersTimeoutMs: 5000, onError: () => undefined,
      });
      process.once('SIGTERM', () => void server.close());`;
    const child = spawn(
      'systemd-socket-activate',
      [
        `--listen=${path}`,
        '--fdname=decide.sock',
        process.execPath,
        '--input-type=module',
        '--eval',
        program,
      ],
      { stdio: 'ignore' },
    );
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await until('the socket', () => statSync(path, { throwIfNoEntry: false })?.isSocket());
    const answer = await requestUnix(path, { method: 'GET', path: '/' }, 30_000);
    expect(answer).toMatchObject({ status: 200 });
    expect(String(answer.body)).toBe('3');
    child.kill('SIGTERM');
    await ended;
    expect(statSync(path).isSocket()).toBe(true);
  });
});

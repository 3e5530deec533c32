import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { execPath } from 'node:process';

import { describe, expect, onTestFinished, test } from 'vitest';

import { sha256 } from '../../src/base/digest.ts';
import { MAX_IN_FLIGHT } from '../../src/collector/app.ts';
import { openStore } from '../../src/collector/open-store.ts';
import { type Collector, type CollectorOptions, startCollector } from '../../src/collector/serve.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { type TestHost, testHost } from '../attestation/hosts.ts';
import { type Answer, temporaryDirectory } from './collector-fixture.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

async function started(options: Partial<CollectorOptions> = {}): Promise<Collector> {
  const database = join(await temporaryDirectory(), 'fleet.db');
  const collector = await startCollector({ listen: LOOPBACK, database, log: SILENT_LOG, ...options });
  onTestFinished(() => collector.close());
  return collector;
}

async function put(
  url: string,
  { body, digest }: { body: Buffer; digest: string },
): Promise<{ status: number; answer: Answer }> {
  const response = await fetch(`${url}/v1/reports/${digest}`, { method: 'PUT', body: Uint8Array.from(body) });
  return { status: response.status, answer: (await response.json()) as Answer };
}

async function inFlight(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^sealborn_collector_reports_in_flight (\d+)$/m.exec(text)?.[1]);
}

/** Sends bytes over a connection of its own and gives back what came until the other side closed it. */
async function raw(url: string, send: (write: (bytes: string | Buffer) => void) => void): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString('latin1')));
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  send((bytes) => socket.write(bytes));
  await closed;
  return text;
}

describe('startCollector', () => {
  test('listens on a free port, serves, and is closed for good', async () => {
    const database = join(await temporaryDirectory(), 'fleet.db');
    const collector = await startCollector({ listen: LOOPBACK, database, log: SILENT_LOG });
    expect(collector.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await put(collector.url, testHost().next())).status).toBe(201);
    expect(await (await fetch(collector.url)).text()).toContain('web-1');
    await collector.close();
    await expect(fetch(collector.url)).rejects.toThrow();
    (await openStore(database)).close();
  });

  test('refuses a taken address, a taken database and a bad setting, and leaves nothing running', async () => {
    const first = await started();
    const port = Number(new URL(first.url).port);
    const database = join(await temporaryDirectory(), 'other.db');
    const options = { listen: { host: '127.0.0.1', port }, database, log: SILENT_LOG };
    await expect(startCollector(options)).rejects.toMatchObject({ code: 'address-in-use' });
    (await openStore(database)).close();
    const bad = { ...options, settings: { intervalSeconds: 0 } };
    await expect(startCollector(bad)).rejects.toMatchObject({ code: 'settings-invalid' });
  });

  test('many hosts at once: every chain whole, nothing lost, nothing twice', async () => {
    const { url } = await started();
    const hosts = Array.from({ length: 40 }, (_, n) => testHost(`web-${n}`));
    const report = async (host: TestHost): Promise<void> => {
      let nonce: string | null = null;
      for (let n = 0; n < 5; n += 1) {
        const sent = host.next({ nonce });
        const twice = await Promise.all([put(url, sent), put(url, sent)]);
        expect(twice.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 201]);
        nonce = twice[0].answer.nonce ?? null;
      }
    };
    await Promise.all(hosts.map(report));
    const fleet = (await (await fetch(`${url}/v1/hosts`)).json()) as {
      hosts: { seq: number; fresh: boolean }[];
    };
    expect(fleet.hosts).toHaveLength(hosts.length);
    expect(fleet.hosts.every(({ seq, fresh }) => seq === 5 && fresh)).toBe(true);
  });

  test('a body announced as too large is refused unread; one that turns out so is cut off', async () => {
    const { url } = await started();
    const path = `/v1/reports/${sha256('x')}`;
    const announced = await raw(url, (write) =>
      write(`PUT ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000000\r\n\r\n`),
    );
    expect(announced).toMatch(/^HTTP\/1\.1 413 /);
    expect(announced).toContain('body-too-large');
    const endless = await raw(url, (write) => {
      write(`PUT ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`);
      const chunk = Buffer.alloc(65_536, 0x20);
      for (let n = 0; n < 40; n += 1)
        write(Buffer.concat([Buffer.from('10000\r\n'), chunk, Buffer.from('\r\n')]));
    });
    expect(endless).toMatch(/^HTTP\/1\.1 413 /);
    expect((await put(url, testHost().next())).status).toBe(201);
  });

  test('headers without end are cut off', async () => {
    const { url } = await started();
    const answer = await raw(url, (write) =>
      write(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('more reports at once than it reads are told to come back, and a slot is free again after', async () => {
    const { url } = await started();
    const { hostname, port } = new URL(url);
    const slow = Array.from({ length: MAX_IN_FLIGHT }, () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      socket.write(`PUT /v1/reports/${sha256('x')} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf`);
      return socket;
    });
    onTestFinished(() => slow.forEach((socket) => socket.destroy()));
    await expect.poll(() => inFlight(url)).toBe(MAX_IN_FLIGHT);
    const report = testHost().next();
    const response = await fetch(`${url}/v1/reports/${report.digest}`, {
      method: 'PUT',
      body: Uint8Array.from(report.body),
    });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await response.json()).toMatchObject({ error: { code: 'overloaded' } });
    slow.forEach((socket) => socket.destroy());
    await expect.poll(() => inFlight(url)).toBe(0);
    expect((await put(url, report)).status).toBe(201);
  });

  test('closing answers what was begun, and does not wait for idle connections', async () => {
    const database = join(await temporaryDirectory(), 'fleet.db');
    const collector = await startCollector({ listen: LOOPBACK, database, log: SILENT_LOG });
    const { hostname, port } = new URL(collector.url);
    const idle = connect(Number(port), hostname);
    idle.on('error', () => {});
    await once(idle, 'connect');
    const { body, digest } = testHost().next();
    const closing = Promise.withResolvers<void>();
    const answer = await raw(collector.url, (write) => {
      write(`PUT /v1/reports/${digest} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`);
      write(body.subarray(0, 100));
      const goOn = async (): Promise<void> => {
        await expect.poll(() => inFlight(collector.url)).toBe(1);
        const closed = collector.close();
        write(body.subarray(100));
        await closed;
      };
      goOn().then(closing.resolve, closing.reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 201 /);
    await closing.promise;
    const store = await openStore(database);
    onTestFinished(() => store.close());
    expect(store.countHosts()).toBe(1);
    idle.destroy();
  });

  test('killed again and again in the middle of its work, it loses no report that it acknowledged', async () => {
    const database = join(await temporaryDirectory(), 'fleet.db');
    const hosts = Array.from({ length: 8 }, (_, n) => testHost(`web-${n}`));
    const acknowledged = new Map<string, Set<string>>(hosts.map(({ id }) => [id, new Set()]));
    for (let round = 0; round < 4; round += 1) {
      const child = await collectorProcess(database);
      let answers = 0;
      const report = async (host: TestHost): Promise<void> => {
        for (;;) {
          const sent = host.next();
          let status = 0;
          try {
            ({ status } = await put(child.url, sent));
          } catch {
            return; // killed before the answer: nothing was promised
          }
          expect(status).toBe(201);
          acknowledged.get(host.id)!.add(sent.digest);
          answers += 1;
          if (answers === 25 + round * 7) child.process.kill('SIGKILL');
        }
      };
      await Promise.all(hosts.map(report));
      await child.ended;
    }
    const store = await openStore(database);
    onTestFinished(() => store.close());
    for (const { id } of hosts) {
      const kept = new Set<string>(store.reports(id).map(({ digest }) => digest));
      for (const digest of acknowledged.get(id)!) expect(kept).toContain(digest);
      expect(acknowledged.get(id)!.size).toBeGreaterThan(0);
      expect(store.flags(id).filter(({ kind }) => kind === 'fork')).toEqual([]);
    }
  });
});

async function collectorProcess(
  database: string,
): Promise<{ process: ChildProcess; url: string; ended: Promise<unknown> }> {
  const module = join(import.meta.dirname, '../../src/collector/serve.ts');
  const script = `import { startCollector } from ${JSON.stringify(module)};
    const { url } = await startCollector({ listen: { host: '127.0.0.1', port: 0 }, database: ${JSON.stringify(database)} });
    console.log(url);`;
  const child = spawn(execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const [bytes] = (await once(child.stdout, 'data')) as [Buffer];
  return { process: child, url: bytes.toString().trim(), ended };
}

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { type IncomingMessage, type RequestListener, type ServerResponse, createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { outcomeOf } from '../../../src/agent/report/report-sender.ts';
import { type Reporter, type ReporterOptions, startReporter } from '../../../src/agent/report/reporter.ts';
import { startState } from '../../../src/agent/state.ts';
import { type VerifiedReport, verifyReport } from '../../../src/attestation/report.ts';
import type { Verdict } from '../../../src/attestation/verdict.ts';
import { sha256 } from '../../../src/base/digest.ts';
import { type Collector, startCollector } from '../../../src/collector/serve.ts';
import { SILENT_LOG } from '../../../src/host/log/log.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { until } from '../until.ts';

const hasNoOpenssl = spawnSync('openssl', ['version']).status !== 0;
if (hasNoOpenssl) process.stderr.write('skipped: reports over https need the openssl command\n');

const starting: Verdict = startState('2026-11-23T12:00:00.000Z').verdict;

type Host = { reporter: Reporter; set: (state: Verdict['state']) => void };

async function report(
  stateDirectory: string,
  url: string,
  intervalSeconds = 3600,
  ca?: string,
  tpm?: ReporterOptions['tpm'],
): Promise<Host> {
  let verdict = starting;
  const reporter = await startReporter({
    collector: { url: new URL(url), intervalSeconds, splaySeconds: 0, ca },
    stateDirectory,
    labels: { role: 'test' },
    log: SILENT_LOG,
    now: () => new Date(),
    verdict: () => verdict,
    decisionLog: () => ({ seq: 12, head: sha256('line 12') }),
    retryMs: { first: 10, most: 40 },
    tpm,
  });
  onTestFinished(() => reporter.close());
  return {
    reporter,
    set: (state) => {
      verdict = { ...verdict, state };
      reporter.changed('change');
    },
  };
}

/** A collector that answers as told; keeps what it accepted. */
async function fakeCollector(
  answer: RequestListener,
  port = 0,
): Promise<{ url: string; port: number; close: () => Promise<void> }> {
  const server = createServer(answer).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  onTestFinished(close);
  const { port: taken } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${taken}`, port: taken, close };
}

/** Accepts reports into `accepted`, after `first` had its say with each request. */
function accepting(accepted: VerifiedReport[], first: RequestListener = () => undefined): RequestListener {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    first(request, response);
    if (response.writableEnded || !request.socket.writable) return;
    const verified = verifyReport(Buffer.concat(pieces));
    expect([request.method, request.url]).toEqual(['PUT', `/v1/reports/${verified.digest}`]);
    accepted.push(verified);
    response.writeHead(201, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ nonce: `n${accepted.length}`, nextReportSeconds: 3600 }));
  };
  return (request, response) => void answer(request, response);
}

function states(reports: VerifiedReport[]): string[] {
  return reports.map(({ seq, verdict }) => `${seq} ${verdict.state}`);
}

/** What the collector answered to the first `count` reports. */
function nonces(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `n${index + 1}`);
}

function expectChain(reports: VerifiedReport[]): void {
  reports.forEach((next, index) => {
    expect(next.seq).toBe(index + 1);
    expect(next.previous).toBe(index === 0 ? null : reports[index - 1]?.digest);
  });
}

describe('startReporter', () => {
  it('makes none for an interval that ends while one is being made: a TPM slower than that would always quote an old nonce', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<never>();
    const runDirectory = await temporaryDirectory();
    const no = async (): Promise<never> => answer.promise;
    const keys = async (): Promise<never> => {
      asked.resolve();
      return answer.promise;
    };
    const tpm = { extend: no, read: no, keys, endorsementCertificate: no, quote: no, activate: no };
    const accepted: VerifiedReport[] = [];
    const { url } = await fakeCollector(accepting(accepted));
    const host = await report(await temporaryDirectory(), url, 3600, undefined, {
      tpm,
      pcr: 15,
      runDirectory,
    });
    // The first has no nonce, so that another one follows at once: the TPM is asked for that.
    await asked.promise;
    for (let n = 0; n < 5; n += 1) host.reporter.changed('interval');
    answer.reject(new Error('this TPM is broken'));
    await until('the second report', () => host.reporter.counts().sent >= 2);
    host.set('trusted');
    await until('the change', () => accepted.at(-1)?.verdict.state === 'trusted');
    expect(states(accepted)).toEqual(['1 starting', '2 starting', '3 trusted']);
    expect(accepted.map(({ nonce }) => nonce)).toEqual([null, 'n1', 'n2']);
  });

  it('delivers a signed report at start, at each change, and at intervals, with the nonce of the answer before', async () => {
    const accepted: VerifiedReport[] = [];
    const { url } = await fakeCollector(accepting(accepted));
    const { reporter, set } = await report(await temporaryDirectory(), url, 0.3);
    await until('the first report', () => reporter.counts().sent >= 1);
    set('measuring');
    set('trusted');
    await until('an interval', () => accepted.length >= 4);
    // The interval's report falls anywhere among the others on a busy machine.
    const said = accepted.map(({ verdict }) => verdict.state);
    expect(said.filter((state, index) => state !== said[index - 1])).toEqual([
      'starting',
      'measuring',
      'trusted',
    ]);
    expectChain(accepted);
    expect(accepted[0]).toMatchObject({ nonce: null, host: { labels: { role: 'test' } } });
    expect(accepted[0]?.decisionLog).toEqual({ seq: 12, head: sha256('line 12') });
    for (const { seq, nonce } of accepted) expect([null, ...nonces(seq - 1)]).toContain(nonce);
    expect(accepted.at(-1)?.nonce).not.toBeNull();
    expect(accepted[0]?.host.facts).toMatchObject({ kernel: expect.any(String), agent: expect.any(String) });
    await until('the counts', () => reporter.counts().sent === accepted.length);
    expect(reporter.counts()).toMatchObject({ failed: 0, refused: 0, dropped: 0, spooled: 0 });
  });

  it('keeps every report while the collector is down, over a restart, and delivers all in order', async () => {
    const directory = await temporaryDirectory();
    const database = join(await temporaryDirectory(), 'fleet.db');
    const down = await startCollector({ listen: { host: '127.0.0.1', port: 0 }, database });
    const { url } = down;
    await down.close();
    const first = await report(directory, url);
    first.set('measuring');
    first.set('trusted');
    await until('three reports on disk', () => first.reporter.counts().spooled === 3);
    await until('some attempts', () => first.reporter.counts().failed >= 2);
    await first.reporter.close();

    const second = await report(directory, url);
    second.set('drifted');
    await until('five reports on disk', () => second.reporter.counts().spooled === 5);
    const up: Collector = await startCollector({
      listen: { host: '127.0.0.1', port: Number(new URL(url).port) },
      database,
    });
    onTestFinished(() => up.close());
    await until('all delivered', () => second.reporter.counts().spooled === 0);
    expect(second.reporter.counts()).toMatchObject({ sent: 5, refused: 0, dropped: 0 });
    const fleet = (await (await fetch(`${url}/v1/hosts`)).json()) as { hosts: { id: string }[] };
    expect(fleet.hosts).toHaveLength(1);
    const host = await (await fetch(`${url}/v1/hosts/${fleet.hosts[0]?.id}`)).json();
    expect(JSON.stringify(host)).toContain('"seq":5');
    expect(host).toMatchObject({ flags: [] });
    expect(await readdir(join(directory, 'spool'))).toEqual([]);
    expect(await readdir(join(directory, 'refused'))).toEqual([]);
  });

  it.each<[string, RequestListener]>([
    ['answers 503', (_, response) => response.writeHead(503, { 'retry-after': '0' }).end('{}')],
    ['answers 429', (_, response) => response.writeHead(429).end()],
    ['answers 500', (_, response) => response.writeHead(500).end('oh')],
    ['answers a page with 200', (_, response) => response.writeHead(200).end('<html>log in</html>')],
    ['answers a page with 403', (_, response) => response.writeHead(403).end('<html>forbidden</html>')],
    ['redirects', (_, response) => response.writeHead(302, { location: '/elsewhere' }).end()],
    ['answers without end', (_, response) => response.writeHead(200).end(Buffer.alloc(1_000_000, 'x'))],
    ['answers no HTTP', (request) => request.socket.end('hello\r\n\r\n')],
    ['hangs up', (request) => request.socket.destroy()],
    [
      'says the report was damaged on its way',
      (_, response) => response.writeHead(400).end('{"error":{"code":"digest-mismatch","message":"m"}}'),
    ],
  ])('loses nothing to a collector that %s', async (_, fault) => {
    const accepted: VerifiedReport[] = [];
    let faults = 3;
    const { url } = await fakeCollector(
      accepting(accepted, (request, response) => {
        faults -= 1;
        if (faults >= 0) fault(request, response);
      }),
    );
    const { reporter, set } = await report(await temporaryDirectory(), url);
    set('trusted');
    await until('both delivered', () => reporter.counts().sent === 2);
    expect(states(accepted)).toEqual(['1 starting', '2 trusted']);
    expectChain(accepted);
    expect(reporter.counts()).toMatchObject({ failed: 3, refused: 0 });
  });

  it('sets a report aside that the collector refuses, and goes on with the next', async () => {
    const directory = await temporaryDirectory();
    const accepted: VerifiedReport[] = [];
    let refuse = true;
    const { url } = await fakeCollector(
      accepting(accepted, (_, response) => {
        if (refuse) response.writeHead(409).end('{"error":{"code":"report-fork","message":"m"}}');
        refuse = false;
      }),
    );
    const { reporter, set } = await report(directory, url);
    set('trusted');
    await until(
      'the second delivered',
      () => reporter.counts().sent === 1 && reporter.counts().spooled === 0,
    );
    expect(states(accepted)).toEqual(['2 trusted']);
    expect(reporter.counts()).toMatchObject({ refused: 1, spooled: 0 });
    expect(await readdir(join(directory, 'refused'))).toHaveLength(1);
  });

  it.skipIf(hasNoOpenssl)(
    'delivers over https where the authority is the one in its settings, and keeps all where it is not',
    async () => {
      const directory = await temporaryDirectory();
      const [keyFile, ca] = [join(directory, 'key.pem'), join(directory, 'ca.pem')];
      const command =
        'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost ' +
        `-addext subjectAltName=IP:127.0.0.1 -keyout ${keyFile} -out ${ca}`;
      const made = spawnSync('openssl', command.split(' '));
      if (made.status !== 0) throw new Error(`openssl: ${String(made.stderr)}`);
      const accepted: VerifiedReport[] = [];
      const server = createSecureServer(
        { key: await readFile(keyFile), cert: await readFile(ca) },
        accepting(accepted),
      ).listen(0, '127.0.0.1');
      await once(server, 'listening');
      onTestFinished(() => server.close().closeAllConnections());
      const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const doubting = await report(join(directory, 'state'), url);
      await until('two attempts', () => doubting.reporter.counts().failed >= 2);
      await doubting.reporter.close();
      expect(doubting.reporter.counts()).toMatchObject({ sent: 0, spooled: 1 });
      const { reporter } = await report(join(directory, 'state'), url, 3600, ca);
      await until('both delivered', () => reporter.counts().sent === 2);
      expectChain(accepted);
    },
  );

  it('makes and delivers what is due before it closes, since drift may be what ends the machine', async () => {
    const accepted: VerifiedReport[] = [];
    const { url } = await fakeCollector(accepting(accepted));
    const { reporter, set } = await report(await temporaryDirectory(), url);
    await until('the first report', () => reporter.counts().sent >= 1);
    set('drifted');
    await reporter.close();
    expect(states(accepted)).toEqual(['1 starting', '2 drifted']);
  });

  it('closes within its patience while the collector keeps it waiting, and keeps the report', async () => {
    const asked = Promise.withResolvers<void>();
    const { url } = await fakeCollector(() => asked.resolve());
    const { reporter } = await report(await temporaryDirectory(), url);
    await asked.promise;
    const before = performance.now();
    await reporter.close();
    expect(performance.now() - before).toBeLessThan(4000);
    expect(reporter.counts().spooled).toBe(1);
  });
});

describe('outcomeOf', () => {
  const answer = (status: number, body: string, headers = {}): ReturnType<typeof outcomeOf> =>
    outcomeOf({ status, headers, body: Buffer.from(body) });

  it('takes Retry-After in seconds, bounded to ten minutes, and no other form', () => {
    const after = (value: string): unknown => answer(503, '', { 'retry-after': value });
    expect(after('7')).toMatchObject({ kind: 'failed', retryAfterMs: 7000 });
    expect(after('999999')).toMatchObject({ retryAfterMs: 600_000 });
    expect(after('Tue, 24 Nov 2026 00:00:00 GMT')).toMatchObject({ retryAfterMs: undefined });
    expect(after('-1')).toMatchObject({ retryAfterMs: undefined });
  });

  it('is delivered only with a nonce and an interval', () => {
    expect(answer(201, '{"nonce":"abc","nextReportSeconds":60,"leaf":3}')).toEqual({
      kind: 'delivered',
      nonce: 'abc',
      nextReportSeconds: 60,
    });
    for (const body of ['{}', '{"nonce":"a b","nextReportSeconds":60}', '{"nonce":"abc"}', '']) {
      expect(answer(200, body).kind).toBe('failed');
    }
  });
});

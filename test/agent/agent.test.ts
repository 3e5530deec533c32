import { connect } from 'node:net';
import { chmod, link, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { latchPath, writeLatch } from '../../src/agent/measure/latch.ts';
import { type Measurer, type MeasurerDependencies, startMeasurer } from '../../src/agent/measure/measurer.ts';
import { type AgentServer, startServer } from '../../src/agent/server.ts';
import { sha256 } from '../../src/base/digest.ts';
import { startCollector } from '../../src/collector/serve.ts';
import { createTreeChecker } from '../../src/host/measure/check-tree.ts';
import { readBootId } from '../../src/host/kernel/boot-id.ts';
import { HostError } from '../../src/host/host-error.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { requestUnix } from '../../src/host/net/unix-http.ts';
import { newKey } from '../bundle/bundle-fixture.ts';
import {
  type SealedMachine,
  type Sealing,
  append,
  ask,
  health,
  sealMachine,
  status,
  untilState,
} from './sealed-machine.ts';
import { until } from './until.ts';

const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };

async function measure(
  machine: SealedMachine,
  change: Partial<MeasurerDependencies> = {},
  yaml?: string,
): Promise<Measurer> {
  const measurer = await startMeasurer(machine.settings(yaml), { ...common, ...change });
  onTestFinished(() => measurer.close());
  return measurer;
}

async function serve(machine: SealedMachine, yaml?: string, change = {}): Promise<AgentServer> {
  const server = await startServer(machine.settings(yaml), { ...common, ...change });
  onTestFinished(() => server.close());
  return server;
}

const notTrusted = { decision: false, context: { reason: 'not-trusted', policies: [] } };

/** That health, decisions and status all say no, and the reason where there is one. */
async function expectNo(
  { decideSocket, healthPort }: AgentServer,
  state: string,
  code?: string,
): Promise<void> {
  expect(await health(healthPort)).toEqual({ status: 503, body: `${state}\n` });
  expect(await health(healthPort, '/readyz')).toMatchObject({ status: 503 });
  expect(await health(healthPort, '/livez')).toMatchObject({ status: 200 });
  const answer = await ask(decideSocket);
  expect(answer).toMatchObject(notTrusted);
  expect(answer['context']).toMatchObject({ state });
  const said = await status(decideSocket);
  expect(said['state']).toBe(state);
  if (code !== undefined) expect(said['reason']).toMatchObject({ code });
}

describe('startMeasurer and startServer', () => {
  it('serve a sealed image: trusted, health 200, permit and deny with reason, policy, release and id', async () => {
    const machine = await sealMachine();
    const server = await serve(machine);
    await expectNo(server, 'starting', 'measurer-unreachable');
    const measurer = await measure(machine);
    await measurer.settled;
    expect(measurer.verdict()).toMatchObject({ state: 'trusted', drift: [], driftTotal: 0 });
    const said = await untilState(server.decideSocket, 'trusted');
    expect(said).toMatchObject({
      release: { name: 'payments', version: '1.4.0', commit: 'c0ffee', environment: 'production' },
      measured: { files: expect.any(Number) },
    });
    expect(await health(server.healthPort)).toEqual({ status: 200, body: 'trusted\n' });
    const release = { name: 'payments', version: '1.4.0', commit: 'c0ffee' };
    const decisionId = expect.stringMatching(/^[0-9a-f-]{36}$/);
    const at = (id: string, line: number): object[] => [{ id, file: 'policies/documents.cedar', line }];
    expect(await ask(server.decideSocket)).toMatchObject({
      decision: true,
      context: { reason: 'permit', policies: at('read', 3), release, decisionId },
    });
    expect(await ask(server.decideSocket, 'ReadDocument', 'secret')).toMatchObject({
      decision: false,
      context: { reason: 'forbid', policies: at('secret', 7), release, decisionId },
    });
    expect(await ask(server.decideSocket, 'DeleteDocument')).toMatchObject({
      decision: false,
      context: { reason: 'no-permit', policies: [], release },
    });
    const metrics = await health(server.healthPort, '/metrics');
    expect(metrics.body).toContain('sealborn_trusted 1\n');
    expect(metrics.body).toContain('sealborn_decisions_total{reason="permit"} 1\n');
    expect(await readdir(machine.settings().runDirectory)).toEqual([
      'decide.ndjson.sock',
      'decide.sock',
      'verdict.sock',
    ]);
  });

  it('find drift within a sweep: 503, deny, status names the file, and nothing but a reboot clears it', async () => {
    const machine = await sealMachine();
    const [measurer, server] = [await measure(machine), await serve(machine)];
    await untilState(server.decideSocket, 'trusted');
    const undo = await machine.tamper();
    const said = await untilState(server.decideSocket, 'drifted');
    expect(said['drift']).toMatchObject([{ path: '/usr/bin/app', kind: 'modified' }]);
    expect(said['driftTotal']).toBe(1);
    await expectNo(server, 'drifted');

    await undo();
    await append(machine.file('etc/app.conf'));
    await until('a second finding', () => measurer.verdict().driftTotal >= 2);
    expect(measurer.verdict()).toMatchObject({ state: 'drifted', since: said['since'] });

    await measurer.close();
    await machine.reseal(); // not even a right release of the image as it is now
    const again = await measure(machine);
    await again.settled;
    expect(again.verdict()).toMatchObject({
      state: 'drifted',
      reason: { code: 'latched' },
      since: said['since'],
    });
    await expectNo(server, 'drifted');
  });

  it('say trusted again after a restart without drift', async () => {
    const machine = await sealMachine();
    const server = await serve(machine);
    const first = await measure(machine);
    await untilState(server.decideSocket, 'trusted');
    await first.close();
    await untilState(server.decideSocket, 'starting');
    await expectNo(server, 'starting', 'measurer-unreachable');
    await measure(machine);
    await untilState(server.decideSocket, 'trusted');
    expect(await ask(server.decideSocket)).toMatchObject({ decision: true });
  });

  it.each<[string, string, Sealing]>([
    ['35: a sequence below the minimum', 'sequence-too-old', { minimumSequence: 8 }],
    ['36: another environment', 'environment-mismatch', { predicate: { environment: 'staging' } }],
    ['37: a wrong key', 'threshold-not-met', { signers: [newKey()] }],
    ['37: a removed key', 'threshold-not-met', { trusted: [newKey()] }],
    ['37: no signature', 'unsigned', { signers: [] }],
    ['a policy that permits nothing', 'document-invalid', { policy: Buffer.from('{}') }],
    ['32: an absolute path in the manifest', '', { manifest: (m) => replace(m, './etc ', '/etc ') }],
    ['33: a duplicate in the manifest', '', { manifest: (m) => Buffer.concat([m, lastLine(m)]) }],
    ['an empty manifest', 'manifest-empty', { manifest: () => Buffer.alloc(0) }],
  ])('refuse (attacks, row) %s', async (_, code, sealing) => {
    const machine = await sealMachine(sealing);
    const [measurer, server] = [await measure(machine), await serve(machine)];
    await measurer.settled;
    const said = await untilState(server.decideSocket, 'refused');
    if (code !== '') expect(said['reason']).toMatchObject({ code });
    await expectNo(server, 'refused');
    expect(JSON.parse(await readFile(latchPath(machine.settings().runDirectory), 'utf8'))).toMatchObject({
      verdict: { state: 'refused' },
    });
    await measurer.close();
    await machine.reseal();
    const again = await measure(machine);
    await again.settled;
    const { code: sameCode, message = '' } = measurer.verdict().reason ?? {};
    expect(again.verdict()).toMatchObject({
      state: 'refused',
      reason: { code: sameCode, message: expect.stringContaining(message) as string },
    });
    expect(again.verdict().reason?.message).toContain('only a reboot clears it');
  });

  it('refuse (row 37) k-1 of k signatures, also where one key signs twice, and take k of k', async () => {
    const [a, b] = [newKey(), newKey()];
    for (const [signers, state] of [
      [[a], 'refused'],
      [[a, a], 'refused'],
      [[a, b], 'trusted'],
    ] as const) {
      const machine = await sealMachine({ signers: [...signers], trusted: [a, b], threshold: 2 });
      const measurer = await measure(machine);
      await measurer.settled;
      expect(measurer.verdict().state).toBe(state);
    }
  });

  it.each<[string, string, (machine: SealedMachine) => Promise<unknown>]>([
    ['a missing manifest', 'bundle-file-missing', (m) => rm(join(m.bundle, 'manifest.mtree'))],
    ['a missing policy', 'bundle-file-missing', (m) => rm(join(m.bundle, 'policy.json'))],
    ['a missing envelope', 'bundle-file-missing', (m) => rm(join(m.bundle, 'release.dsse.json'))],
    ['an extra file', 'bundle-file-unexpected', (m) => writeFile(join(m.bundle, 'extra'), '')],
    ['a byte more in the manifest', 'digest-mismatch', (m) => append(join(m.bundle, 'manifest.mtree'))],
    ['a byte more in the policy', 'digest-mismatch', (m) => append(join(m.bundle, 'policy.json'))],
    ['a byte changed in the envelope', '', (m) => changeByte(join(m.bundle, 'release.dsse.json'), 200)],
    ['no bundle', 'not-found', (m) => rm(m.bundle, { recursive: true })],
    ['no trust set', 'not-found', (m) => rm(m.trust)],
    ['a trust set that is no YAML', 'trust-malformed', (m) => writeFile(m.trust, '[')],
  ])('refuse (attacks, row 45) %s', async (_, code, damage) => {
    const machine = await sealMachine();
    await damage(machine);
    const [measurer, server] = [await measure(machine), await serve(machine)];
    await measurer.settled;
    await untilState(server.decideSocket, 'refused');
    await expectNo(server, 'refused', code === '' ? undefined : code);
  });

  it('refuse (attacks, row 43) a trust set that does not have the pinned digest', async () => {
    const machine = await sealMachine();
    await writeFile(join(machine.directory, 'sealborn.trust'), `sha256:${sha256('another')}`);
    const environment = { CREDENTIALS_DIRECTORY: machine.directory };
    const server = await serve(machine, '', { environment });
    const measurer = await measure(machine, { environment });
    await measurer.settled;
    await untilState(server.decideSocket, 'refused');
    await expectNo(server, 'refused', 'trust-pin-mismatch');

    const other = await sealMachine();
    await writeFile(join(other.directory, 'sealborn.trust'), `sha256:${sha256(await readFile(other.trust))}`);
    const pinned = await measure(other, { environment: { CREDENTIALS_DIRECTORY: other.directory } });
    await pinned.settled;
    expect(pinned.verdict().state).toBe('trusted');
  });

  it.each(['1970-01-01T00:00:00Z', '2100-01-01T00:00:00Z'])(
    'come to the same verdicts (attacks, row 41) with the clock at %s',
    async (time) => {
      const now = (): Date => new Date(time);
      const machine = await sealMachine();
      const server = await serve(machine, '', { now });
      await measure(machine, { now });
      await untilState(server.decideSocket, 'trusted');
      expect(await ask(server.decideSocket)).toMatchObject({ decision: true });
      await machine.tamper();
      const said = await untilState(server.decideSocket, 'drifted');
      expect(said['drift']).toMatchObject([
        { path: '/usr/bin/app', kind: 'modified', at: now().toISOString() },
      ]);
    },
  );

  it('deny where the two halves verified different releases', async () => {
    const machine = await sealMachine({ beside: true });
    const server = await serve(machine);
    await machine.reseal({ predicate: { version: '1.5.0', sequence: 8 } });
    const measurer = await measure(machine);
    await measurer.settled;
    expect(measurer.verdict().state).toBe('trusted');
    await untilState(server.decideSocket, 'refused');
    await expectNo(server, 'refused', 'release-mismatch');
  });

  it.each<[string, string, (machine: SealedMachine) => Promise<unknown>]>([
    ['a byte more in the policy', 'modified', (m) => append(join(m.bundle, 'policy.json'))],
    ['a missing envelope', 'missing', (m) => rm(join(m.bundle, 'release.dsse.json'))],
    ['an extra file', 'unexpected', (m) => writeFile(join(m.bundle, 'extra'), '')],
    ['another trust set', 'modified', (m) => append(m.trust)],
    ['no trust set', 'missing', (m) => rm(m.trust)],
  ])('find drift in a bundle outside of the image: %s', async (_, kind, change) => {
    const machine = await sealMachine({ beside: true });
    const measurer = await measure(machine);
    await measurer.settled;
    expect(measurer.verdict().state).toBe('trusted');
    await change(machine);
    await until('drift', () => measurer.verdict().state === 'drifted');
    expect(measurer.verdict().drift).toMatchObject([{ kind }]);
    expect(measurer.verdict().drift[0]?.path).toContain('/beside/');
  });

  it('find drift in a bundle inside the image once, by the check of the tree', async () => {
    const machine = await sealMachine();
    const measurer = await measure(machine);
    await measurer.settled;
    await append(join(machine.bundle, 'policy.json'));
    await until('drift', () => measurer.verdict().state === 'drifted');
    expect(measurer.verdict()).toMatchObject({
      driftTotal: 1,
      drift: [{ path: '/usr/share/sealborn/bundle/policy.json', kind: 'modified' }],
    });
  });

  it('find the usual drift of an image, and show hostile names escaped', async () => {
    const machine = await sealMachine();
    const measurer = await measure(machine);
    await measurer.settled;
    await append(machine.file('etc/\u202eevil\n.conf'));
    await writeFile(machine.file('usr/bin/new'), '');
    await chmod(machine.file('usr/bin/app'), 0o4755);
    await link(machine.file('etc/app.conf'), machine.file('tmp/writable'));
    await writeFile(machine.file('tmp/allowed'), 'mutable');
    await until('all of it', () => measurer.verdict().driftTotal >= 4);
    const seen = measurer.verdict().drift.map(({ path, kind }) => `${kind} ${path}`);
    expect(seen.sort()).toEqual([
      'metadata /etc/app.conf',
      'metadata /usr/bin/app',
      'modified /etc/\\u202eevil\\n.conf',
      'unexpected /usr/bin/new',
    ]);
  });

  it('are drifted at the first finding, while the rest is still being read', async () => {
    const machine = await sealMachine();
    await machine.tamper();
    const rest = Promise.withResolvers<void>();
    const createChecker: typeof createTreeChecker = (options) => {
      const checker = createTreeChecker(options);
      const full: typeof checker.full = async (...hearers) => {
        const result = await checker.full(...hearers);
        await rest.promise;
        return result;
      };
      return { ...checker, full };
    };
    const [measurer, server] = [await measure(machine, { createChecker }), await serve(machine)];
    await untilState(server.decideSocket, 'drifted');
    expect(measurer.verdict()).toMatchObject({ driftTotal: 1, drift: [{ kind: 'modified' }] });
    expect(measurer.verdict().measured).toBeUndefined();
    rest.resolve();
    await measurer.settled;
    expect(measurer.verdict()).toMatchObject({ state: 'drifted', driftTotal: 1 });
    expect(measurer.verdict().measured?.files).toBeGreaterThan(0);
  });

  it('are drifted with a reason, for good, when a sweep fails', async () => {
    const machine = await sealMachine();
    let fault = false;
    const createChecker: typeof createTreeChecker = (options) => {
      const checker = createTreeChecker(options);
      return {
        ...checker,
        sweepSlice: (slice, signal) => {
          if (fault) throw new HostError('tree-unreadable', 'EIO');
          return checker.sweepSlice(slice, signal);
        },
      };
    };
    const [measurer, server] = [await measure(machine, { createChecker }), await serve(machine)];
    await untilState(server.decideSocket, 'trusted');
    fault = true;
    await untilState(server.decideSocket, 'drifted');
    await expectNo(server, 'drifted', 'tree-unreadable');
    await measurer.close();
    fault = false;
    const again = await measure(machine);
    await again.settled;
    expect(again.verdict()).toMatchObject({ state: 'drifted', reason: { code: 'tree-unreadable' } });
  });

  it('are drifted also where the latch can not be written', async () => {
    const machine = await sealMachine();
    const codes: unknown[] = [];
    const log = {
      ...SILENT_LOG,
      error: (fields: object) => void codes.push((fields as { code?: string }).code),
    };
    const [, server] = [await measure(machine, { log }), await serve(machine)];
    await untilState(server.decideSocket, 'trusted');
    await mkdir(join(latchPath(machine.settings().runDirectory), 'in the way'), { recursive: true });
    await machine.tamper();
    await untilState(server.decideSocket, 'drifted');
    expect(codes).toContain('latch-failed');
  });

  it('start over where the latch is of another boot', async () => {
    const machine = await sealMachine();
    const first = await measure(machine);
    await first.settled;
    const undo = await machine.tamper();
    await until('drift', () => first.verdict().state === 'drifted');
    await first.close();
    await undo();
    const path = latchPath(machine.settings().runDirectory);
    const latch = JSON.parse(await readFile(path, 'utf8')) as { bootId: string };
    await writeFile(path, JSON.stringify({ ...latch, bootId: '11111111-2222-3333-4444-555555555555' }));
    const second = await measure(machine);
    await second.settled;
    expect(second.verdict().state).toBe('trusted');
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('tell systemd: ready when the first verdict stands, and the state', async () => {
    const machine = await sealMachine();
    const told: string[] = [];
    const measurer = await measure(machine, { notify: (state) => void told.push(state) });
    await measurer.settled;
    expect(told.at(-1)).toBe('READY=1');
    expect(told).toContain('STATUS=measuring');
    expect(told).toContain('STATUS=trusted');
    const server = await serve(machine, '', { notify: (state: string) => void told.push(state) });
    expect(told.at(-1)).toBe('READY=1');
    await untilState(server.decideSocket, 'trusted');
  });

  it('throw where another agent has the run directory, the log directory or the port', async () => {
    const machine = await sealMachine();
    await measure(machine);
    const server = await serve(machine);
    await expect(startMeasurer(machine.settings(), common)).rejects.toMatchObject({ code: 'address-in-use' });
    const other = await sealMachine();
    const settings = other.settings();
    const { logDirectory, runDirectory } = machine.settings();
    for (const [shared, code] of [
      [{ runDirectory }, 'address-in-use'],
      [{ logDirectory }, 'directory-in-use'],
    ] as const) {
      await expect(startServer({ ...settings, ...shared }, common)).rejects.toMatchObject({ code });
    }
    const taken = { ...settings, health: { listen: { host: '127.0.0.1', port: server.healthPort } } };
    await expect(startServer(taken, common)).rejects.toMatchObject({ code: 'address-in-use' });
    expect(await readdir(settings.runDirectory)).toEqual([]);
  });

  it('go on serving whatever a client sends', async () => {
    const machine = await sealMachine();
    const [, server] = [await measure(machine), await serve(machine)];
    await untilState(server.decideSocket, 'trusted');
    const nested = '['.repeat(400_000);
    const head = (length: number): string =>
      `POST /access/v1/evaluation HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
    for (const bytes of [
      'hello\r\n\r\n',
      Buffer.from([0, 255, 10, 13, 10]),
      `${head(nested.length)}${nested}`,
      `${head(3)}{}}`,
      head(5_000_000),
      'GET /\u0000 HTTP/1.1\r\n\r\n',
    ]) {
      const socket = connect(server.decideSocket);
      socket.resume().on('error', () => undefined);
      socket.end(bytes);
      await once(socket, 'close');
    }
    expect(await ask(server.decideSocket)).toMatchObject({ decision: true });
  });

  it('report to a collector: each state, and the drift by its path', async () => {
    const collector = await startCollector({
      listen: { host: '127.0.0.1', port: 0 },
      database: join((await sealMachine()).directory, 'fleet.db'),
    });
    onTestFinished(() => collector.close());
    const machine = await sealMachine();
    const yaml = `collector: {url: "${collector.url}", splaySeconds: 0}\nlabels: {role: test}`;
    const server = await serve(machine, yaml);
    await measure(machine);
    await untilState(server.decideSocket, 'trusted');
    await machine.tamper();
    await untilState(server.decideSocket, 'drifted');
    const shown = await until('the collector to know', async () => {
      const page = await (await fetch(`${collector.url}/v1/hosts`)).text();
      return page.includes('"drifted"') ? page : undefined;
    });
    expect(shown).toContain('"payments"');
    const metrics = await until('the count', async () => {
      const { body } = await health(server.healthPort, '/metrics');
      return body.includes('sealborn_reports_spooled 0') ? body : undefined;
    });
    expect(metrics).toMatch(/sealborn_reports_total\{result="sent"\} [3-9]/);
    expect(metrics).toContain('sealborn_reports_total{result="dropped"} 0');
  });

  it('report a drift that ends the agent before the verdict came over the socket', async () => {
    const collector = await startCollector({
      listen: { host: '127.0.0.1', port: 0 },
      database: join((await sealMachine()).directory, 'fleet.db'),
    });
    onTestFinished(() => collector.close());
    const machine = await sealMachine();
    const server = await serve(machine, `collector: {url: "${collector.url}", splaySeconds: 0}`);
    const measurer = await measure(machine);
    await untilState(server.decideSocket, 'trusted');
    await measurer.close();
    const drifted = { ...measurer.verdict(), state: 'drifted' as const, driftTotal: 1 };
    await writeLatch(machine.settings().runDirectory, await readBootId(), drifted);
    await server.close(); // as a power-off that the latch set off would
    const hosts = await (await fetch(`${collector.url}/v1/hosts`)).text();
    expect(hosts).toContain('"state":"drifted"');
  });

  it('serve all the same where reports can not be made', async () => {
    const machine = await sealMachine();
    await writeFile(join(machine.directory, 'state'), 'a file in the way');
    const [, server] = [
      await measure(machine),
      await serve(machine, 'collector: {url: "http://127.0.0.1:9", splaySeconds: 0}'),
    ];
    await untilState(server.decideSocket, 'trusted');
    expect(await ask(server.decideSocket)).toMatchObject({ decision: true });
  });
});

describe('createDecideApp', () => {
  async function post(
    server: AgentServer,
    path: string,
    body: unknown,
    headers: Record<string, string> = { 'content-type': 'application/json' },
    method = 'POST',
  ): Promise<{ status: number; headers: object; value: unknown }> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await requestUnix(server.decideSocket, { method, path, headers, body: text }, 5000);
    return { status: answer.status, headers: answer.headers, value: JSON.parse(String(answer.body)) };
  }
  const question = (subject = 'ana', id = 'd1'): object => ({
    subject: { type: 'User', id: subject },
    action: { name: 'ReadDocument' },
    resource: { type: 'Document', id },
  });

  it('answers AuthZEN evaluation, evaluations and metadata, and refuses what is no request', async () => {
    const machine = await sealMachine();
    const [, server] = [await measure(machine), await serve(machine)];
    await untilState(server.decideSocket, 'trusted');
    const path = '/access/v1/evaluation';

    const batch = await post(server, '/access/v1/evaluations', {
      ...question(),
      evaluations: [
        {},
        { subject: { type: 'User', id: 'bob' } },
        { resource: { type: 'Document', id: 'secret' } },
      ],
    });
    expect(batch).toMatchObject({
      status: 200,
      value: {
        evaluations: [
          { decision: true, context: { reason: 'permit', release: { version: '1.4.0' } } },
          { decision: false, context: { reason: 'no-permit' } },
          { decision: false, context: { reason: 'forbid' } },
        ],
      },
    });
    const ids = (batch.value as { evaluations: { context: { decisionId: string } }[] }).evaluations.map(
      ({ context }) => context.decisionId,
    );
    expect(new Set(ids).size).toBe(3);

    const echoed = await post(server, path, question(), {
      'content-type': 'application/json; charset=utf-8',
      'x-request-id': 'r-1',
    });
    expect(echoed).toMatchObject({ status: 200, headers: { 'x-request-id': 'r-1' } });

    const metadata = await requestUnix(
      server.decideSocket,
      { method: 'GET', path: '/.well-known/authzen-configuration' },
      5000,
    );
    expect(JSON.parse(String(metadata.body))).toHaveProperty('access_evaluation_endpoint');

    expect((await post(server, path, '{')).status).toBe(400);
    expect((await post(server, path, '{"a":1,"a":2}')).status).toBe(400);
    expect((await post(server, path, { subject: {} })).status).toBe(400);
    expect((await post(server, path, { ...question(), subject: { type: 'User', id: 7 } })).status).toBe(400);
    expect((await post(server, path, question(), { 'content-type': 'text/plain' })).status).toBe(400);
    expect((await post(server, path, question(), {})).status).toBe(400);
    expect(await post(server, path, '', {}, 'DELETE')).toMatchObject({
      status: 405,
      headers: { allow: 'POST' },
    });
    expect((await post(server, '/access/v1/other', question())).status).toBe(404);
  });

  it('answers a batch on a machine that is not trusted with not-trusted alone', async () => {
    const machine = await sealMachine();
    const server = await serve(machine);
    const { value } = await post(server, '/access/v1/evaluations', {
      ...question(),
      evaluations: [{}, { resource: { type: 'Document', id: 'd2' } }],
    });
    expect(value).toMatchObject({ evaluations: [notTrusted, notTrusted] });
  });
});

function replace(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1');
}

function lastLine(bytes: Buffer): Buffer {
  return Buffer.from(`${bytes.toString('latin1').trimEnd().split('\n').at(-1)}\n`, 'latin1');
}

async function changeByte(path: string, index: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[index] = (bytes[index] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

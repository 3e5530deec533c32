import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it, onTestFinished } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import { type CheckRequest, type Client, type ClientOptions, createClient } from '../../src/client/client.ts';
import { type LineServer, serveLines } from '../../src/host/net/line-server.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { sealMachine, untilState } from '../agent/sealed-machine.ts';
import { temporaryDirectory } from '../agent/temporary-directory.ts';
import { until } from '../agent/until.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

const question = (document: string, more: object = {}): CheckRequest => ({
  subject: { type: 'User', id: 'ana' },
  action: { name: 'ReadDocument' },
  resource: { type: 'Document', id: document, ...more },
});

type Line = { id: number; resource: { id: string } };
const permit = ({ id }: Line): object => ({
  id,
  decision: true,
  context: { reason: 'permit', policies: [] },
});

/** Stands in for an agent where a test needs one that misbehaves. */
async function listen(path: string, answer: (line: Line) => object | string = permit): Promise<LineServer> {
  const server = await serveLines({
    listen: { path, mode: 0o600 },
    answer: (line) => {
      const said = answer(JSON.parse(String(line)) as Line);
      return typeof said === 'string' ? said : JSON.stringify(said);
    },
    refuse: (code) => JSON.stringify({ id: null, error: { code, message: code } }),
    maxLineBytes: 65_536,
    maxConnections: 8,
    patienceMs: 20_000,
    idleMs: 20_000,
    onError: () => undefined,
  });
  onTestFinished(() => server.close());
  return server;
}

async function socketPath(): Promise<string> {
  return join(await temporaryDirectory(), 'agent.sock');
}

function open(options: ClientOptions): Client {
  const client = createClient(options);
  onTestFinished(() => client.close());
  return client;
}

const unavailable = (code: string): object => ({
  decision: false,
  context: { reason: 'unavailable', policies: [], error: { code } },
});

describe('createClient', () => {
  it('asks a real agent, and recovers when the agent restarts, failing closed meanwhile', async () => {
    const machine = await sealMachine();
    const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };
    const measurer = await startMeasurer(machine.settings(), common);
    onTestFinished(() => measurer.close());
    const first = await startServer(machine.settings(), common);
    await untilState(first.decideSocket, 'trusted');
    const client = open({ socket: first.linesSocket, timeoutMs: 100 });
    const patient = { timeoutMs: 10_000 };
    expect(await client.check(question('d1'), patient)).toMatchObject({
      decision: true,
      context: { reason: 'permit', policies: [{ id: 'read', line: 3 }], release: { version: '1.4.0' } },
    });
    expect(await client.checkMany([question('d1'), question('secret')], patient)).toMatchObject([
      { decision: true },
      { decision: false, context: { reason: 'forbid' } },
    ]);
    await first.close();
    expect(await client.check(question('d1'))).toMatchObject(unavailable('unreachable'));
    const second = await startServer(machine.settings(), common);
    onTestFinished(() => second.close());
    await untilState(second.decideSocket, 'trusted');
    await until('a permit again', async () => (await client.check(question('d1'))).decision);
  });

  it('does what docs/client.md shows, as the built package', async () => {
    const machine = await sealMachine();
    const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };
    const measurer = await startMeasurer(machine.settings(), common);
    onTestFinished(() => measurer.close());
    const server = await startServer(machine.settings(), common);
    onTestFinished(() => server.close());
    await untilState(server.decideSocket, 'trusted');
    const page = await readFile(join(PROJECT, 'docs/client.md'), 'utf8');
    const example = /```js\n(.*?)```/s.exec(page)?.[1] ?? '';
    const code = example
      .replace('timeoutMs: 200', 'timeoutMs: 20_000') // a test machine may be busy
      .replace(
        "'/run/sealborn/decide.ndjson.sock'",
        `${JSON.stringify(server.linesSocket)}, timeoutMs: 20_000`,
      );
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
      cwd: PROJECT,
    });
    expect(stdout).toBe('permit permit\n[ true, false ]\n');
  });

  it('sends what is asked in one turn in one write, and gives each question its own answer', async () => {
    const path = await socketPath();
    await listen(path, (line) => ({ ...permit(line), decision: line.resource.id.endsWith('0') }));
    const client = open({ socket: path, timeoutMs: 20_000 });
    const ids = Array.from({ length: 500 }, (_, index) => String(index));
    const single = await Promise.all(ids.map((id) => client.check(question(id))));
    const many = await client.checkMany(ids.map((id) => question(id)));
    for (const answers of [single, many]) {
      expect(answers.map(({ decision }) => decision)).toEqual(ids.map((id) => id.endsWith('0')));
    }
    expect(await client.checkMany([])).toEqual([]);
  });

  it('asks again what had no answer when the connection is lost', async () => {
    const path = await socketPath();
    const first = await listen(path, () => ''.padEnd(100)); // no answer a client could take: it reconnects
    const client = open({ socket: path, timeoutMs: 20_000 });
    const answer = client.checkMany([question('a'), question('b')]);
    await first.close();
    await listen(path);
    expect(await answer).toMatchObject([{ decision: true }, { decision: true }]);
  });

  it('denies where nobody listens: in time at first, at once when that lasts', async () => {
    const path = await socketPath();
    const client = open({ socket: path, timeoutMs: 200 });
    expect(await client.check(question('a'))).toMatchObject(unavailable('unreachable'));
    const { context } = await client.check(question('a'), { timeoutMs: 60_000 });
    expect(context).toMatchObject({ reason: 'unavailable', error: { code: 'unreachable' } });
    await listen(path);
    await until('the agent to be found', async () => (await client.check(question('a'))).decision);
  });

  it.each<[string, (line: Line) => object | string]>([
    ['no JSON', () => 'hello'],
    ['an answer to no question', ({ id }) => permit({ id: id + 1000, resource: { id: '' } })],
    ['a decision that is a text', ({ id }) => ({ id, decision: 'true', context: {} })],
    ['no decision', ({ id }) => ({ id, context: {} })],
    ['an id that is a text', ({ id }) => ({ id: String(id), decision: true, context: {} })],
  ])('denies where the other side says %s', async (_, answer) => {
    const path = await socketPath();
    await listen(path, answer);
    const client = open({ socket: path, timeoutMs: 200 });
    expect((await client.check(question('a'))).context.reason).toBe('unavailable');
  });

  it('denies what the agent refuses, without a word to the others', async () => {
    const path = await socketPath();
    const error = { code: 'json-invalid', message: 'no' };
    await listen(path, (line) => (line.resource.id === 'bad' ? { id: null, error } : permit(line)));
    const client = open({ socket: path, timeoutMs: 20_000 });
    const long = question('x', { properties: { long: 'é'.repeat(40_000) } });
    expect(await client.checkMany([question('a'), question('bad'), long, question('b')])).toMatchObject([
      { decision: true },
      { decision: false, context: { reason: 'request-refused', error } },
      { decision: false, context: { reason: 'request-refused', error: { code: 'line-too-long' } } },
      { decision: true },
    ]);
    const circular: { self?: object } = {};
    circular.self = circular;
    await expect(client.check(question('a', circular))).rejects.toThrow(TypeError);
  });

  it('denies after the time of a call, and takes no late answer for another question', async () => {
    const path = await socketPath();
    const client = open({ socket: path, timeoutMs: 20_000 });
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const server = createServer((socket) => {
      socket.setEncoding('utf8').on('error', () => undefined);
      socket.on('data', (text: unknown) => {
        const lines = String(text)
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as Line);
        void held.then(() => {
          for (const line of lines) {
            const answer = { ...permit(line), decision: line.resource.id === 'late' };
            socket.write(`${JSON.stringify(answer)}\n`);
          }
        });
      });
    }).listen(path);
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    expect(await client.check(question('late'), { timeoutMs: 50 })).toMatchObject(unavailable('timeout'));
    const next = client.check(question('next'));
    release();
    expect(await next).toMatchObject({ decision: false, context: { reason: 'permit' } });
  });

  it('rejects with the reason of an aborted signal, before and while it waits', async () => {
    const path = await socketPath();
    const client = open({ socket: path, timeoutMs: 20_000 });
    const reason = new Error('enough');
    await expect(client.check(question('a'), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const waiting = client.checkMany([question('a'), question('b')], { signal: controller.signal });
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await listen(path);
    expect(await client.check(question('c'))).toMatchObject({ decision: true });
  });

  it('bounds what waits, and denies all of it when it is closed', async () => {
    const client = open({ socket: await socketPath(), timeoutMs: 20_000, maxPending: 2 });
    const waiting = client.checkMany([question('a'), question('b')]);
    expect(await client.check(question('c'))).toMatchObject(unavailable('queue-full'));
    client.close();
    expect(await waiting).toMatchObject([unavailable('closed'), unavailable('closed')]);
    expect(await client.check(question('d'))).toMatchObject(unavailable('closed'));
  });
});

import { once } from 'node:events';
import { request } from 'node:http';
import { type Socket, connect } from 'node:net';

import { describe, expect, it } from 'vitest';

import { newApiKey } from '../../src/access/api-key.ts';
import { ana, ask, gone, key, nginx, start } from './authz-machine.ts';
import { type LogLine, checkLog, readLog } from './read-log.ts';
import { health, untilState } from './sealed-machine.ts';
import { until } from './until.ts';

/*
 * Exactly one line of the log for each decision, by its id, whichever way it was asked and whatever becomes of the
 * connection; and none for what was no decision. What was decided is counted by the metrics too.
 */
const ME = `unix:uid=${process.getuid?.()},gid=${process.getgid?.()},pid=${process.pid}`;
const DECISION = /^sealborn_decisions_total\{reason="[a-z-]+"\} (\d+)$/gm;

type Machine = Awaited<ReturnType<typeof start>>;
type Told = {
  id?: unknown;
  decision?: boolean;
  context?: { decisionId: string; reason: string };
  error?: { code: string };
};

/** The lines of decisions, once there are as many as decisions were counted. */
async function decisionLines({ machine, server }: Machine): Promise<LogLine[]> {
  const { logDirectory } = machine.settings();
  const lines = await until('as many lines as decisions', async () => {
    const { body } = await health(server.healthPort, '/metrics');
    const counted = [...body.matchAll(DECISION)].reduce((sum, [, count]) => sum + Number(count), 0);
    const found = (await readLog(logDirectory)).filter(({ type }) => type === 'decision');
    return found.length === counted ? found : undefined;
  });
  const ids = lines.map((line) => line['decision_id']);
  expect(new Set(ids).size).toBe(ids.length);
  expect((await checkLog(logDirectory)).break).toBeUndefined();
  return lines;
}

const told = (line: LogLine): unknown[] => [line['decision_id'], line['result'], line['reason']];
const said = ({ decision, context }: Told): unknown[] => [context?.decisionId, decision, context?.reason];

const question = (id: unknown, document = 'd1'): string =>
  `${JSON.stringify({ id, subject: { type: 'User', id: 'ana' }, action: { name: 'ReadDocument' }, resource: { type: 'Document', id: document } })}\n`;

/** Everything that is answered until the other side closes. */
async function hear(socket: Socket): Promise<Told[]> {
  let heard = '';
  for await (const piece of socket) heard += String(piece);
  return heard
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Told);
}

describe('one line a decision, over decide.ndjson.sock', () => {
  it('for every line that was answered, in order, and none for a line that is no question', async () => {
    const running = await start();
    const socket = connect({ path: running.server.linesSocket, allowHalfOpen: true });
    const bad = [
      '{\n',
      '\n',
      '{"id":1}\n',
      question({}),
      '{"id":7,"id":7}\n',
      `{"id":"${'x'.repeat(300)}"}\n`,
    ];
    const sent = Array.from({ length: 300 }, (_, index) => question(index, index % 2 === 0 ? 'd1' : 'd2'));
    socket.end(
      sent.flatMap((line, index) => (index % 50 === 0 ? [bad[index / 50] ?? '', line] : [line])).join(''),
    );
    const answers = await hear(socket);
    expect(answers.filter(({ error }) => error !== undefined)).toHaveLength(bad.length);
    const lines = await decisionLines(running);
    expect(lines.map(told)).toEqual(answers.filter(({ error }) => error === undefined).map(said));
    expect(lines).toHaveLength(sent.length);
    expect(lines[7]).toMatchObject({ via: 'ndjson', requested_by: ME, req_id: '7' });
    expect(lines[7]).not.toHaveProperty('identity');
  });

  it('for every line that was decided before the connection was cut, heard or not', async () => {
    const running = await start();
    const path = running.server.linesSocket;
    for (let round = 0; round < 5; round += 1) {
      const socket = connect(path);
      socket.write(Array.from({ length: 400 }, (_, index) => question(index)).join(''));
      socket.write(question('cut').slice(0, -10));
      await once(socket, 'data');
      socket.destroy();
      // A line that never ends is no question.
      connect(path, function open(this: Socket) {
        this.write('{"id":1,');
        this.destroy();
      }).on('error', () => undefined);
    }
    const answers = await hear(connect({ path, allowHalfOpen: true }).end(question('last')));
    const lines = await decisionLines(running);
    expect(lines.map((line) => line['decision_id'])).toContain(answers[0]?.context?.decisionId);
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.some((line) => line['req_id'] === 'cut')).toBe(false);
  });

  it('for a client that reads slowly as for any other', async () => {
    const running = await start();
    const socket = connect({ path: running.server.linesSocket, allowHalfOpen: true });
    socket.pause();
    const count = 4000;
    socket.end(Array.from({ length: count }, (_, index) => question(index)).join(''));
    // The agent stops to read where its answers are not read; what it decided until then is logged.
    const early = await decisionLines(running);
    expect(early.length).toBeLessThan(count);
    const answers = await hear(socket);
    expect(answers.map(({ id }) => id)).toEqual(Array.from({ length: count }, (_, index) => index));
    const lines = await decisionLines(running);
    expect(lines.map(told)).toEqual(answers.map(said));
  });
});

describe('one line a decision, over decide.sock', () => {
  it('for each of a batch, for an answer that nobody waits for, and none for what is refused as no question', async () => {
    const running = await start();
    const { decideSocket: socketPath } = running.server;
    const body = (text: string): string[] => [
      'POST /access/v1/evaluation HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n',
      `content-length: ${text.length}\r\n\r\n${text}`,
    ];
    const good = body(question(1).trim()).join('');
    const raw = async (...pieces: string[]): Promise<string> => {
      const socket = connect(socketPath);
      let heard = '';
      socket.on('data', (piece) => (heard += String(piece))).on('error', () => undefined);
      for (const piece of pieces) socket.write(piece);
      socket.end();
      await once(socket, 'close');
      return heard;
    };
    // Two in one write, the second never answered by a "close"; and some that are none.
    const two = await raw(good, good.replace('host: x', 'host: x\r\nconnection: close'));
    expect(two.match(/"decisionId"/g)).toHaveLength(2);
    const batch = { items: [{ resource: { type: 'Document', id: 'd1' } }, { resource: 7 }, {}] };
    const evaluations = JSON.stringify({
      subject: { type: 'User', id: 'ana' },
      action: { name: 'ReadDocument' },
      evaluations: batch.items,
    });
    expect(await raw(body(evaluations).join('').replace('evaluation ', 'evaluations '))).toContain('200 OK');
    for (const wrong of ['{', '{}', '[]', '{"subject":1}', '{"a":1,"a":2}']) {
      expect(await raw(body(wrong).join(''))).toContain('400 Bad Request');
    }
    expect(await raw('GET /access/v1/evaluation HTTP/1.1\r\nhost: x\r\n\r\n')).toContain('405');
    expect(await raw('POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n')).toContain('404');
    expect(await raw('nonsense\r\n\r\n')).toContain('400');
    await raw(good.slice(0, -5)); // cut in the middle of its body
    const unheard = request({ socketPath, method: 'POST', path: '/access/v1/evaluation' });
    unheard.on('error', () => undefined);
    unheard.setHeader('content-type', 'application/json').end(question(1));
    await until('the third single decision', async () => {
      if ((await health(running.server.healthPort, '/metrics')).body.match(/reason="permit"\} 4$/m))
        return true;
      return undefined;
    });
    unheard.destroy();
    const lines = await decisionLines(running);
    expect(lines).toHaveLength(2 + 3 + 1);
    expect(lines.map((line) => line['reason'])).toEqual([
      'permit',
      'permit',
      'permit',
      'error',
      'error',
      'permit',
    ]);
    expect(lines[0]).toMatchObject({ via: 'http', requested_by: ME });
  });
});

describe('one line a decision, over /authz', () => {
  it('permitted, denied, of nobody and unreadable, with who asked and what they showed, never the key', async () => {
    const running = await start('authz: {listen: "127.0.0.1:0"}');
    const at = { socketPath: running.server.decideSocket };
    const wrong = newApiKey();
    const asked: [method: string, uri: string, [string, string][], status: number][] = [
      ['GET', '/documents/1', [key(ana)], 200],
      ['DELETE', '/documents/1', [key(ana)], 403],
      ['GET', '/documents/%2e%2e/1', [key(ana)], 403],
      ['PATCH', '/documents/1', [key(ana)], 403],
      ['GET', '/documents/1', [], 401],
      ['GET', '/documents/1', [key(wrong)], 401],
      ['GET', '/documents/1', [key(gone)], 401],
      ['GET', '/documents/1', [key(ana), key(ana)], 401],
    ];
    const ids: unknown[] = [];
    for (const [method, uri, headers, status] of asked) {
      const answer = await ask(at, 'GET', '/authz/nginx', [...nginx(method, uri), ...headers]);
      expect(answer.status).toBe(status);
      ids.push(answer.headers['x-sealborn-decision-id']);
    }
    const overTcp = await ask(
      { port: running.server.authzPort ?? 0 },
      'GET',
      '/authz/nginx',
      nginx('GET', '/x'),
    );
    ids.push(overTcp.headers['x-sealborn-decision-id']);
    // Not HTTP, or more headers than are read: nobody decided anything.
    const many = Array.from({ length: 200 }, (_, index): [string, string] => [`x-${index}`, '1']);
    expect((await ask(at, 'GET', '/authz/nginx', many)).status).toBe(431);
    await running.machine.tamper();
    await untilState(running.server.decideSocket, 'drifted');
    const out = await ask(at, 'GET', '/authz/nginx', [...nginx('GET', '/documents/1'), key(ana)]);
    ids.push(out.headers['x-sealborn-decision-id']);

    const lines = await decisionLines(running);
    expect(lines.map((line) => line['decision_id'])).toEqual(ids);
    expect(lines.map((line) => line['result'])).toEqual([true, ...Array.from({ length: 9 }, () => false)]);
    expect(lines[0]).toMatchObject({
      via: 'proxy',
      requested_by: ME,
      identity: { subject: 'User::"ana"', shown: [{ apiKey: 'ana' }] },
      input: { subject: { type: 'User', id: 'ana' } },
    });
    // Who asked what has no answer is known all the same.
    expect(lines[2]).toMatchObject({ input: null, identity: { subject: 'User::"ana"' } });
    expect(lines[2]?.['errors']).toEqual([
      { id: '', message: expect.stringMatching(/^path-not-normal: /) as string },
    ]);
    expect(lines[6]?.['errors']).toEqual([
      { id: '', message: 'api-key-revoked: the API key "gone" is revoked' },
    ]);
    for (const line of lines.slice(4, 9)) expect(line).not.toHaveProperty('identity');
    expect(lines[8]?.['requested_by']).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(lines[9]).toMatchObject({ reason: 'not-trusted', state: 'drifted' });
    const text = JSON.stringify(lines);
    for (const secret of [ana, gone, wrong]) expect(text).not.toContain(secret.key.slice(0, 20));
  });
});

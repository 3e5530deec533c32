import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { startMeasurer } from '../../../src/agent/measure/measurer.ts';
import { type AgentServer, startServer } from '../../../src/agent/server.ts';
import { SILENT_LOG } from '../../../src/host/log/log.ts';
import { health, sealMachine, untilState } from '../sealed-machine.ts';

const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };

async function startAgent(measured = true): Promise<AgentServer> {
  const machine = await sealMachine();
  const server = await startServer(machine.settings(), common);
  onTestFinished(() => server.close());
  if (!measured) return server;
  const measurer = await startMeasurer(machine.settings(), common);
  onTestFinished(() => measurer.close());
  await untilState(server.decideSocket, 'trusted');
  return server;
}

/** Sends lines, closes its side, and gives back what was answered. */
async function talk(path: string, ...lines: (object | string)[]): Promise<unknown[]> {
  const socket = connect({ path, allowHalfOpen: true });
  let heard = '';
  socket.on('data', (chunk) => (heard += String(chunk)));
  socket.end(lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''));
  await once(socket, 'end');
  return heard
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

const question = (id: unknown, subject = 'ana', document = 'd1'): object => ({
  id,
  subject: { type: 'User', id: subject },
  action: { name: 'ReadDocument' },
  resource: { type: 'Document', id: document },
});

describe('createLineAnswerer', () => {
  it('answers each line on decide.ndjson.sock by its id, as decide.sock does', async () => {
    const { linesSocket, healthPort } = await startAgent();
    expect((await stat(linesSocket)).mode & 0o7777).toBe(0o660);
    const answers = await talk(
      linesSocket,
      question(1),
      question('b-2', 'bob'),
      question(-3, 'ana', 'secret'),
      { ...question(1), unknown: true },
    );
    const release = { name: 'payments', version: '1.4.0', commit: 'c0ffee' };
    const policies = [{ id: 'read', file: 'policies/documents.cedar', line: 3 }];
    const decisionId = expect.stringMatching(/^[0-9a-f-]{36}$/) as string;
    expect(answers).toEqual([
      { id: 1, decision: true, context: { reason: 'permit', policies, release, decisionId } },
      { id: 'b-2', decision: false, context: { reason: 'no-permit', policies: [], release, decisionId } },
      {
        id: -3,
        decision: false,
        context: {
          reason: 'forbid',
          policies: [{ ...policies[0], id: 'secret', line: 7 }],
          release,
          decisionId,
        },
      },
      { id: 1, decision: true, context: { reason: 'permit', policies, release, decisionId } },
    ]);
    expect((await health(healthPort, '/metrics')).body).toContain(
      'sealborn_lines_total{result="answered"} 4\n',
    );
  });

  it('answers a line that is no request by an error with its code and its id, and goes on', async () => {
    const { linesSocket, healthPort } = await startAgent();
    const cases: [string | object, string, unknown][] = [
      ['', 'json-invalid', null],
      ['{', 'json-invalid', null],
      ['{"id": 1} {"id": 2}', 'json-invalid', null],
      ['{"id": 1, "id": 2}', 'json-duplicate-key', null],
      [`{"id": 1, "context": ${'['.repeat(40)}${']'.repeat(40)}}`, 'json-too-deep', null],
      ['[]', 'request-invalid', null],
      [question(undefined), 'request-invalid', null],
      [question(null), 'request-invalid', null],
      [question(1.5), 'request-invalid', null],
      [question(''), 'request-invalid', null],
      [question('a\n'), 'request-invalid', null],
      [question('x'.repeat(257)), 'request-invalid', null],
      [question({ toString: 1 }), 'request-invalid', null],
      [{ id: 7 }, 'request-invalid', 7],
      [{ ...question('seven'), subject: { type: 'User' } }, 'request-invalid', 'seven'],
    ];
    const answers = await talk(linesSocket, ...cases.map(([line]) => line), question('last'));
    expect(answers.slice(0, -1)).toEqual(
      cases.map(([, code, id]) => ({ id, error: { code, message: expect.any(String) as string } })),
    );
    expect(answers.at(-1)).toMatchObject({ id: 'last', decision: true });
    expect((await health(healthPort, '/metrics')).body).toContain(
      `sealborn_lines_total{result="refused"} ${cases.length}\n`,
    );
  });

  it('closes where the lines can not be told apart any more', async () => {
    const { linesSocket } = await startAgent();
    const answers = await talk(linesSocket, question(1), 'x'.repeat(70_000), question(2));
    expect(answers).toMatchObject([
      { id: 1, decision: true },
      { id: null, error: { code: 'line-too-long' } },
    ]);
  });

  it('denies with not-trusted where the machine is not trusted', async () => {
    const { linesSocket } = await startAgent(false);
    expect(await talk(linesSocket, question(1))).toMatchObject([
      { id: 1, decision: false, context: { reason: 'not-trusted', state: 'starting' } },
    ]);
  });
});

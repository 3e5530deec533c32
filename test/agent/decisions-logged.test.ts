import { describe, expect, it, onTestFinished } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { requestUnix } from '../../src/host/net/unix-http.ts';
import { type LogLine, checkLog, readLog } from './read-log.ts';
import { ask, sealMachine, status, untilState } from './sealed-machine.ts';
import { until } from './until.ts';

type Context = { decisionId: string; reason: string };
type Answer = { decision: boolean; context: Context };

const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };

async function askAll(socket: string, ids: readonly string[]): Promise<Answer[]> {
  const body = JSON.stringify({
    subject: { type: 'User', id: 'ana' },
    action: { name: 'ReadDocument' },
    evaluations: [...ids.map((id) => ({ resource: { type: 'Document', id } })), { resource: 'none' }],
  });
  const answer = await requestUnix(
    socket,
    {
      method: 'POST',
      path: '/access/v1/evaluations',
      headers: { 'content-type': 'application/json', 'x-request-id': 'batch-1' },
      body,
    },
    5000,
  );
  return (JSON.parse(String(answer.body)) as { evaluations: Answer[] }).evaluations;
}

describe('a running agent', () => {
  it('logs every decision it answers exactly once, by its id: single, batch, and before it is trusted', async () => {
    const machine = await sealMachine();
    const settings = machine.settings();
    const server = await startServer(settings, common);
    onTestFinished(() => server.close());
    const answers = [(await ask(server.decideSocket)) as unknown as Answer];
    const measurer = await startMeasurer(settings, common);
    onTestFinished(() => measurer.close());
    await untilState(server.decideSocket, 'trusted');
    answers.push((await ask(server.decideSocket)) as unknown as Answer);
    answers.push((await ask(server.decideSocket, 'ReadDocument', 'secret')) as unknown as Answer);
    answers.push(...(await askAll(server.decideSocket, ['d1', 'secret', 'd2'])));
    const search = await requestUnix(
      server.decideSocket,
      {
        method: 'POST',
        path: '/access/v1/search/action',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          subject: { type: 'User', id: 'ana' },
          resource: { type: 'Document', id: 'd1' },
        }),
      },
      5000,
    );
    const searched = JSON.parse(String(search.body)) as { context: Context; results: object[] };
    await machine.tamper();
    await untilState(server.decideSocket, 'drifted');
    answers.push((await ask(server.decideSocket)) as unknown as Answer);

    await until('the last line synced', async () => {
      const { decisionLog } = (await status(server.decideSocket)) as {
        decisionLog: { head?: { seq: number } };
      };
      return decisionLog.head?.seq === answers.length + 2;
    });
    const all = await readLog(settings.logDirectory);
    const lines = all.filter(({ type }) => type === 'decision');
    expect(all.filter(({ type }) => type === 'search')).toMatchObject([
      {
        decision_id: searched.context.decisionId,
        input: { kind: 'action', subject: { type: 'User', id: 'ana' } },
        result: searched.results.length,
      },
    ]);
    const said = (line: LogLine): object => ({
      id: line['decision_id'],
      decision: line['result'],
      reason: line['reason'],
    });
    expect(lines.map(said)).toEqual(
      answers.map(({ decision, context }) => ({ id: context.decisionId, decision, reason: context.reason })),
    );
    expect(lines.map((line) => line['reason'])).toEqual([
      'not-trusted',
      'permit',
      'forbid',
      'permit',
      'forbid',
      'permit',
      'error',
      'not-trusted',
    ]);
    expect(lines[0]).toMatchObject({ state: 'starting' });
    expect(lines[1]).toMatchObject({
      policies: [{ id: 'read', file: 'policies/documents.cedar', line: 3 }],
      release: { name: 'payments', version: '1.4.0', commit: 'c0ffee' },
    });
    expect(lines[3]).toMatchObject({ req_id: 'batch-1' });
    await server.close();
    expect((await checkLog(settings.logDirectory)).break).toBeUndefined();
  });
});

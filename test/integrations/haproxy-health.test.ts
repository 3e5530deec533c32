import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { type SealedMachine, sealMachine, untilState } from '../agent/sealed-machine.ts';
import { until } from '../agent/until.ts';
import { hasProgram } from '../support/has-program.ts';
import { configurationOf, freePort, replaceAll, startProxy } from './proxy-fixture.ts';

/** A machine: its agent, both halves, and the service beside it, which answers with the machine's name. */
async function startMachine(
  name: string,
): Promise<{ machine: SealedMachine; service: number; health: number; decideSocket: string }> {
  const machine = await sealMachine({ sweepSeconds: 60 });
  const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };
  const agent = await startServer(machine.settings(), common);
  onTestFinished(() => agent.close());
  const measurer = await startMeasurer(machine.settings(), common);
  onTestFinished(() => measurer.close());
  await untilState(agent.decideSocket, 'trusted');
  await until('the watches', () => measurer.verdict().coverage?.watch !== undefined);
  const service = createServer((_, response) => response.end(name)).listen(0, '127.0.0.1');
  await once(service, 'listening');
  onTestFinished(() => {
    service.closeAllConnections();
    service.close();
  });
  const { port } = service.address() as AddressInfo;
  return { machine, service: port, health: agent.healthPort, decideSocket: agent.decideSocket };
}

/** What HAProxy says of a server of the backend: `UP`, `DOWN`, and on the way `UP 1/2` and the like. */
async function statusOf(socketPath: string, server: string): Promise<string> {
  const socket = connect(socketPath);
  let text = '';
  socket.on('data', (piece) => (text += String(piece)));
  const closed = once(socket, 'close');
  socket.write('show stat\n');
  await closed;
  const [head = '', ...lines] = text.split('\n');
  const column = head.split(',').indexOf('status');
  const line = lines.find((one) => one.startsWith(`machines,${server},`));
  return line?.split(',')[column] ?? '';
}

/** Sends requests, four at a time, without a pause, until it is told to stop. */
function sendSteadily(port: number): { answers: string[]; stop: () => Promise<void> } {
  const answers: string[] = [];
  const end = new AbortController();
  const one = async (): Promise<void> => {
    while (!end.signal.aborted) {
      try {
        const answer = await fetch(`http://127.0.0.1:${port}/`);
        const text = await answer.text();
        answers.push(answer.status === 200 ? text : `status ${answer.status}`);
      } catch (thrown) {
        answers.push(`failed: ${String(thrown)}`);
      }
    }
  };
  const running = Promise.all([one(), one(), one(), one()]);
  const stop = async (): Promise<void> => {
    end.abort();
    await running;
  };
  onTestFinished(stop);
  return { answers, stop };
}

it.skipIf(!hasProgram('haproxy'))(
  'HAProxy takes a machine that drifted out, and no request fails (docs/integrations/haproxy-health.md)',
  async () => {
    const [one, two] = [await startMachine('one'), await startMachine('two')];
    const port = await freePort();
    const { directory } = one.machine;
    const stats = join(directory, 'admin.sock');
    const file = join(directory, 'haproxy.cfg');
    await writeFile(
      file,
      replaceAll(await configurationOf('haproxy-health.md', 'haproxy'), [
        ['/run/haproxy/admin.sock', stats],
        ['bind :80\n', `bind 127.0.0.1:${port}\n`],
        ['10.0.0.11:8080 check port 9180', `127.0.0.1:${one.service} check port ${one.health}`],
        ['10.0.0.12:8080 check port 9180', `127.0.0.1:${two.service} check port ${two.health}`],
      ]),
    );
    await startProxy('haproxy', ['-db', '-f', file], port);
    await until('both to be up', async () => {
      const all = await Promise.all([statusOf(stats, 'one'), statusOf(stats, 'two')]);
      return all.every((status) => status === 'UP');
    });

    const { answers, stop } = sendSteadily(port);
    await until('answers of both', () => answers.includes('one') && answers.includes('two'));
    await one.machine.tamper();
    await until('one to be DOWN', async () => (await statusOf(stats, 'one')).startsWith('DOWN'));
    const before = answers.length;
    // Requests that were on their way when it went down may still come back from it: four at most.
    await until('a hundred answers more', () => answers.length > before + 100);
    await stop();

    expect(await statusOf(stats, 'two')).toBe('UP');
    expect(new Set(answers)).toEqual(new Set(['one', 'two']));
    expect(new Set(answers.slice(before + 4))).toEqual(new Set(['two']));
    await untilState(one.decideSocket, 'drifted');
    await untilState(two.decideSocket, 'trusted');
  },
);

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { hasProgram } from '../support/has-program.ts';
import { untilState } from '../agent/sealed-machine.ts';
import {
  ana,
  configurationOf,
  expectCases,
  freePort,
  key,
  replaceAll,
  send,
  startAgent,
  startApplication,
  startProxy,
} from './proxy-fixture.ts';

const script = fileURLToPath(new URL('../../packaging/haproxy/sealborn.lua', import.meta.url));

async function start(): Promise<
  { port: number; seen: Awaited<ReturnType<typeof startApplication>>['seen'] } & Awaited<
    ReturnType<typeof startAgent>
  >
> {
  const agent = await startAgent('haproxy.md');
  const application = await startApplication();
  const port = await freePort();
  const page = replaceAll(await configurationOf('haproxy.md', 'haproxy'), [
    ['/run/sealborn/decide.sock', agent.server.decideSocket],
    ['/usr/share/sealborn/haproxy/sealborn.lua', script],
    ['bind :80\n', `bind 127.0.0.1:${port}\n`],
    ['127.0.0.1:8080', `127.0.0.1:${application.port}`],
  ]);
  const file = join(agent.machine.directory, 'haproxy.cfg');
  await writeFile(file, page);
  await startProxy('haproxy', ['-db', '-f', file], port);
  return { port, seen: application.seen, ...agent };
}

it.skipIf(!hasProgram('haproxy'))(
  'HAProxy asks with the configuration of docs/integrations/haproxy.md',
  async () => {
    const { port, seen, machine, server } = await start();
    await expectCases(port, seen);
    const [through] = seen;
    expect(through).toMatchObject({
      url: '/documents/1?x=%2e%2e',
      headers: { 'x-sealborn-subject': 'User::"ana"' },
    });
    expect((await send(port, 'GET', '/documents/1', [])).text).toMatch(/^www-authenticate: ApiKey\r$/im);

    await send(port, 'GET', '/documents/1', [key(ana), 'X-Sealborn-Subject: User::"root"']);
    expect(seen.at(-1)?.headers['x-sealborn-subject']).toBe('User::"ana"');
    // HAProxy hands it on, and to many applications it is the header that HAProxy sets.
    const alias = 'X_Sealborn_Subject: User::"root"';
    expect((await send(port, 'GET', '/documents/1', [key(ana), alias])).status).toBe(403);

    await machine.tamper();
    await untilState(server.decideSocket, 'drifted');
    expect((await send(port, 'GET', '/documents/1', [key(ana)])).status).toBe(503);
    await server.close();
    expect((await send(port, 'GET', '/documents/1', [key(ana)])).status).toBeGreaterThanOrEqual(403);
    expect(seen).toHaveLength(2);
  },
);

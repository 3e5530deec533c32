import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, it, onTestFinished } from 'vitest';

import { temporaryDirectory } from '../agent/temporary-directory.ts';
import { TRUSTED } from '../attestation/hosts.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

it('sealborn status --wait goes on where the agent ends in the middle of an answer, as one that is restarted does', async () => {
  const socket = join(await temporaryDirectory(), 'decide.sock');
  const decisionLog = { whenFull: 'block', notLogged: { blocked: 0, dropped: 0 } };
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    if (asked === 1) request.socket.destroy();
    else if (asked === 2) {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"state":', () => request.socket.destroy());
    } else response.end(JSON.stringify({ ...TRUSTED, decisionLog }));
  }).listen(socket);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const status = ['status', '--wait', '3600', '--json', '--socket', socket];
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...status]);
  expect(JSON.parse(stdout)).toMatchObject({ state: 'trusted' });
  expect(asked).toBe(3);
});

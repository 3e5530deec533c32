import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, it, onTestFinished } from 'vitest';

import { temporaryDirectory } from '../agent/temporary-directory.ts';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

it('sealborn ask takes names as every other place shows them, and plain ones', async () => {
  const socket = join(await temporaryDirectory(), 'decide.sock');
  const asked: unknown[] = [];
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      asked.push(body);
      response.end('{"decision": true, "context": {}}');
    });
  }).listen(socket);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const ask = (subject: string, resource: string): Promise<unknown> =>
    run(process.execPath, [main, 'ask', subject, 'read', resource, '--socket', socket]);

  await ask(String.raw`Bank::User::"ana \"a\" \\ é"`, 'Doc::annual report');
  expect(asked).toEqual([
    {
      subject: { type: 'Bank::User', id: String.raw`ana "a" \ é` },
      action: { name: 'read' },
      resource: { type: 'Doc', id: 'annual report' },
    },
  ]);
  await expect(ask('User::""', 'Doc::a')).rejects.toMatchObject({ code: 64 });
});

import { execFileSync } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

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

const isRoot = process.getuid?.() === 0;

/** nginx's main file: a process in the foreground that writes below `directory` alone. */
function mainFile(directory: string, servers: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return [
    isRoot ? 'user www-data;' : '',
    'daemon off;',
    'worker_processes 1;',
    `pid ${directory}/nginx.pid;`,
    'error_log stderr;',
    'events {}',
    'http {',
    'access_log off;',
    ...temporary.map((name) => `${name}_temp_path ${directory}/nginx-${name};`),
    servers,
    '}',
  ].join('\n');
}

type Started = { port: number; seen: IncomingMessage[] } & Awaited<ReturnType<typeof startAgent>>;

async function start(
  change: (page: string, directory: string) => Promise<string> | string,
  identity = '',
): Promise<Started> {
  const agent = await startAgent('nginx.md', identity);
  const application = await startApplication();
  const port = await freePort();
  const page = replaceAll(await configurationOf('nginx.md', 'nginx'), [
    ['/run/sealborn/decide.sock', agent.server.decideSocket],
    ['listen 80;', `listen 127.0.0.1:${port};`],
    ['127.0.0.1:8080', `127.0.0.1:${application.port}`],
  ]);
  const { directory } = agent.machine;
  const file = join(directory, 'nginx.conf');
  await writeFile(file, mainFile(directory, await change(page, directory)));
  await startProxy('nginx', ['-e', 'stderr', '-c', file], port);
  return { port, seen: application.seen, ...agent };
}

describe.skipIf(!hasProgram('nginx'))('nginx', () => {
  it('asks with the configuration of docs/integrations/nginx.md', async () => {
    const { port, seen, machine, server } = await start((page) => page);
    await expectCases(port, seen);
    const [through] = seen;
    expect(through).toMatchObject({
      url: '/documents/1?x=%2e%2e',
      headers: { 'x-sealborn-subject': 'User::"ana"' },
    });
    expect((await send(port, 'GET', '/documents/1')).text).toMatch(/^www-authenticate: ApiKey\r$/im);
    expect((await send(port, 'GET', '/sealborn', [key(ana)])).status).not.toBe(200);

    await send(port, 'GET', '/documents/1', [key(ana), 'X-Sealborn-Subject: User::"root"']);
    expect(seen.at(-1)?.headers['x-sealborn-subject']).toBe('User::"ana"');

    await machine.tamper();
    await untilState(server.decideSocket, 'drifted');
    expect((await send(port, 'GET', '/documents/1', [key(ana)])).status).toBe(500);
    await server.close();
    expect((await send(port, 'GET', '/documents/1', [key(ana)])).status).toBe(500);
    expect(seen).toHaveLength(2);
  });

  it.skipIf(!isRoot || !hasProgram('openssl'))(
    "says of which client's certificate it is, and no client says so itself",
    async () => {
      const identity = `
  - clientCertificate:
      header: X-Client-DN
      proxies: { users: [www-data] }
      subjects: { "CN=ana,O=Example": "User::ana" }`;
      const more = await configurationOf('nginx.md', 'nginx', 1);
      const { port, seen, machine } = await start(async (page, directory) => {
        makeCertificates(directory);
        await chmod(join(directory, 'ca.pem'), 0o644);
        return replaceAll(page, [
          [
            ';\n\n    location /',
            ` ssl;\n    ssl_certificate ${directory}/server.pem;\n    ssl_certificate_key ${directory}/server.key;\n    ssl_client_certificate ${directory}/ca.pem;\n    ssl_verify_client on;\n\n    location /`,
          ],
          ['        proxy_connect_timeout', `${more}        proxy_connect_timeout`],
        ]);
      }, identity);
      const ask = async (
        client: string | undefined,
        headers: Record<string, string> = {},
      ): Promise<number> => {
        const read = (name: string): Promise<Buffer> => readFile(join(machine.directory, name));
        const agent = new Agent({
          ca: await read('ca.pem'),
          servername: 'localhost',
          ...(client === undefined
            ? {}
            : { cert: await read(`${client}.pem`), key: await read(`${client}.key`) }),
        });
        const sent = request({ host: '127.0.0.1', port, path: '/documents/1', headers, agent }).end();
        const [response] = (await once(sent, 'response')) as [IncomingMessage];
        response.resume();
        agent.destroy();
        return response.statusCode ?? 0;
      };
      expect(await ask('ana')).toBe(200);
      expect(seen[0]?.headers['x-sealborn-subject']).toBe('User::"ana"');
      expect(await ask('eve')).toBe(401);
      expect(await ask('eve', { 'X-Client-DN': 'CN=ana,O=Example' })).toBe(401);
      expect(await ask('stranger')).toBe(400);
      expect(await ask(undefined, { 'X-Client-DN': 'CN=ana,O=Example' })).toBe(400);
      expect(seen).toHaveLength(1);
    },
  );
});

/** An authority, a server, two clients of the authority, and one that signed itself. */
function makeCertificates(directory: string): void {
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
  const pair = (name: string, subject: string): string[] => [
    ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'.split(' '),
    ...`-keyout ${name}.key -out ${name}.pem -subj ${subject}`.split(' '),
  ];
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
  openssl(...pair('ca', '/O=Example/CN=ca'));
  openssl(...pair('server', '/CN=localhost'), '-addext', 'subjectAltName=DNS:localhost', ...signed);
  openssl(...pair('ana', '/O=Example/CN=ana'), ...signed);
  openssl(...pair('eve', '/O=Example/CN=eve'), ...signed);
  openssl(...pair('stranger', '/O=Example/CN=ana'));
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile } from 'node:fs/promises';
import { type IncomingMessage, createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

import { expect, onTestFinished } from 'vitest';

import { newApiKey } from '../../src/access/api-key.ts';
import { compileAccess } from '../../src/access/source.ts';
import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { type AgentServer, startServer } from '../../src/agent/server.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { formatPolicyDocument } from '../../src/policy/document.ts';
import { type SealedMachine, sealMachine, untilState } from '../agent/sealed-machine.ts';
import { until } from '../agent/until.ts';

type Key = ReturnType<typeof newApiKey>;
export const ana: Key = newApiKey();
export const gone: Key = newApiKey();

/** The first block of a page of docs/integrations in the given language, as a reader copies it. */
export async function configurationOf(page: string, language: string, index = 0): Promise<string> {
  const text = await readFile(new URL(`../../docs/integrations/${page}`, import.meta.url), 'utf8');
  const blocks = [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))];
  const block = blocks[index]?.[1];
  if (block === undefined) throw new Error(`${page} has no such block`);
  return block;
}

/** Puts what stands on a page into this machine's places; every one of them must be there. */
export function replaceAll(text: string, places: readonly (readonly [string, string])[]): string {
  return places.reduce((out, [from, to]) => {
    if (!out.includes(from)) throw new Error(`the page's configuration has no "${from}"`);
    return out.replaceAll(from, to);
  }, text);
}

/** The `proxies` that a page says to put into the release. */
async function proxiesOf(page: string): Promise<string> {
  const text = await readFile(new URL(`../../docs/integrations/${page}`, import.meta.url), 'utf8');
  return /^ {4}proxies:\n(?: {6}.*\n)+/m.exec(text)?.[0].replaceAll(/^ {4}/gm, '') ?? '';
}

/** A trusted agent whose release knows the page's proxy. */
export async function startAgent(
  page: string,
  identity = '',
): Promise<{ machine: SealedMachine; server: AgentServer }> {
  const access = `${await proxiesOf(page)}
routes:
  - { route: "GET /documents/{id}", action: ReadDocument, resource: "Document::{id}" }
  - { route: "GET /documents/secret", action: ReadSecret, resource: "Document::secret" }
  - { route: "DELETE /documents/{id}", action: DeleteDocument, resource: "Document::{id}" }
identity:
  - apiKey: { header: X-API-Key }
${identity}
apiKeys:
  - { id: ana, subject: User::ana, sha256: ${ana.sha256} }
  - { id: gone, subject: User::ana, sha256: ${gone.sha256}, revoked: true }
`;
  const section = compileAccess([{ file: 'access/http.yaml', bytes: Buffer.from(access) }]);
  const document = compilePolicy({
    schema: {
      file: 'schema.cedarschema',
      text: 'entity User; entity Document; action ReadDocument, ReadSecret, DeleteDocument appliesTo { principal: User, resource: Document };',
    },
    policies: [
      {
        file: 'policies/d.cedar',
        text: 'permit (principal == User::"ana", action == Action::"ReadDocument", resource);',
      },
    ],
    entities: [],
  });
  const machine = await sealMachine({
    policy: formatPolicyDocument({ ...document, ...(section === undefined ? {} : { access: section }) }),
  });
  const settings = machine.settings('authz: {listen: "127.0.0.1:0"}');
  const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };
  const server = await startServer(settings, common);
  onTestFinished(() => server.close());
  const measurer = await startMeasurer(settings, common);
  onTestFinished(() => measurer.close());
  await untilState(server.decideSocket, 'trusted');
  // A proxy that runs as another user must get there.
  await chmod(machine.directory, 0o755);
  await chmod(server.decideSocket, 0o666);
  return { machine, server };
}

/** The application behind the proxy: tells what came through. */
export async function startApplication(): Promise<{ port: number; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    response.end('the application');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a proxy and waits until it listens; its output is shown where it ends before that. */
export async function startProxy(
  program: string,
  args: readonly string[],
  port: number,
): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (said += String(piece)));
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  await until(`${program} to listen`, async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      return undefined;
    } finally {
      socket.destroy();
    }
  });
  return child;
}

/** Sends one request exactly as written, and gives the status, the headers and what followed. */
export async function send(
  port: number,
  method: string,
  target: string,
  headers: readonly string[] = [],
): Promise<{ status: number; text: string }> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (piece) => (text += String(piece)));
  const closed = once(socket, 'close');
  socket.write(
    [`${method} ${target} HTTP/1.1`, 'Host: shop.example', 'Connection: close', ...headers, '', ''].join(
      '\r\n',
    ),
  );
  await closed;
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text };
}

export const key = (one: { key: string }): string => `X-API-Key: ${one.key}`;

/**
 * What every proxy must hold to, with its page's configuration: what the application gets was asked about as it was
 * sent, and nothing that a client sends changes that.
 * @returns requests and the status that each must have
 */
function casesOf(): [string, string, string, string[], number | readonly number[]][] {
  const denied = [400, 403, 404];
  return [
    ['permits', 'GET', '/documents/1?x=%2e%2e', [key(ana)], 200],
    ['denies another method', 'DELETE', '/documents/1', [key(ana)], 403],
    ['denies another path', 'GET', '/documents/secret', [key(ana)], 403],
    ['denies a path without route', 'GET', '/other', [key(ana)], 403],
    ['asks who it is', 'GET', '/documents/1', [], 401],
    ['refuses a revoked key', 'GET', '/documents/1', [key(gone)], 401],
    ['refuses two keys', 'GET', '/documents/1', [key(ana), key(gone)], 401],
    ['refuses two keys in the other order', 'GET', '/documents/1', [key(gone), key(ana)], 401],
    [
      "overwrites the client's URI",
      'GET',
      '/documents/secret',
      [key(ana), 'X-Original-URI: /documents/1'],
      403,
    ],
    [
      "overwrites the client's URI, in any case and twice",
      'GET',
      '/documents/secret',
      [key(ana), 'x-original-uri: /documents/1', 'X-ORIGINAL-URI: /documents/1'],
      403,
    ],
    ["overwrites the client's method", 'DELETE', '/documents/1', [key(ana), 'X-Original-Method: GET'], 403],
    [
      'does not take names with underscores for the same',
      'GET',
      '/documents/secret',
      [key(ana), 'X_Original_URI: /documents/1'],
      [400, 403],
    ],
    ['refuses a method override', 'GET', '/documents/1', [key(ana), 'X-HTTP-Method-Override: DELETE'], 403],
    ['refuses a path in another case', 'GET', '/documents/SECRET', [key(ana)], 403],
    ['refuses a slash more', 'GET', '/documents/secret/', [key(ana)], 403],
    ['refuses two slashes', 'GET', '//documents/1', [key(ana)], denied],
    ['refuses dot segments', 'GET', '/documents/1/../secret', [key(ana)], denied],
    ['refuses encoded dot segments', 'GET', '/documents/1/%2e%2e/secret', [key(ana)], denied],
    ['refuses an encoded slash', 'GET', '/documents%2fsecret', [key(ana)], denied],
    ['refuses an encoded letter', 'GET', '/documents/%73ecret', [key(ana)], denied],
    ['refuses path parameters', 'GET', '/documents/secret;x=1', [key(ana)], denied],
    ['refuses NUL', 'GET', '/documents/1%00', [key(ana)], denied],
    ['refuses overlong UTF-8', 'GET', '/documents/%c0%ae%c0%ae/secret', [key(ana)], denied],
    ['refuses a fragment', 'GET', '/documents/1#x', [key(ana)], denied],
  ];
}

/** Sends every case through the proxy on `port`: its status, and whether the application behind it saw it. */
export async function expectCases(port: number, seen: readonly IncomingMessage[]): Promise<void> {
  for (const [name, method, target, headers, status] of casesOf()) {
    const before = seen.length;
    const answer = await send(port, method, target, headers);
    if (typeof status === 'number') expect([name, answer.status]).toEqual([name, status]);
    else expect([name, status.includes(answer.status)]).toEqual([name, true]);
    expect([name, seen.length - before]).toEqual([name, status === 200 ? 1 : 0]);
  }
}

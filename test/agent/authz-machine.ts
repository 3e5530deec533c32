import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

import { onTestFinished } from 'vitest';

import { newApiKey } from '../../src/access/api-key.ts';
import { compileAccess } from '../../src/access/source.ts';
import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { type AgentServer, startServer } from '../../src/agent/server.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { formatPolicyDocument } from '../../src/policy/document.ts';
import { type SealedMachine, sealMachine, untilState } from './sealed-machine.ts';

type Key = ReturnType<typeof newApiKey>;
/** Keys: two that hold, and one that is revoked. */
export const ana: Key = newApiKey();
export const eve: Key = newApiKey();
export const gone: Key = newApiKey();
const ACCESS = `
proxies:
  - { name: nginx, method: { header: X-Original-Method }, uri: { header: X-Original-URI } }
  - { name: envoy, method: request, uri: path }
  - { name: forward, method: { header: X-Forwarded-Method }, uri: { header: X-Forwarded-Uri } }
routes:
  - { route: "GET,HEAD /documents/{id}", action: ReadDocument, resource: "Document::{id}", properties: { level: { header: X-Level, as: long } } }
  - { route: "DELETE /documents/{id}", action: DeleteDocument, resource: "Document::{id}" }
identity:
  - apiKey: { header: X-API-Key }
  - apiKey: { header: Authorization, scheme: Bearer }
  - peer: { users: { "1001": User::eve } }
apiKeys:
  - { id: ana, subject: User::ana, sha256: ${ana.sha256} }
  - { id: eve, subject: User::eve, sha256: ${eve.sha256} }
  - { id: gone, subject: User::ana, sha256: ${gone.sha256}, revoked: true }
`;

function policy(): Buffer {
  const document = compilePolicy({
    schema: {
      file: 'schema.cedarschema',
      text: 'entity User; entity Document = { level?: Long }; action ReadDocument, DeleteDocument appliesTo { principal: User, resource: Document };',
    },
    policies: [
      {
        file: 'policies/documents.cedar',
        text: [
          '@id("read") permit (principal == User::"ana", action == Action::"ReadDocument", resource)',
          'unless { resource has level && resource.level > 3 };',
        ].join('\n'),
      },
    ],
    entities: [],
    openTypes: ['Document'],
  });
  const access = compileAccess([{ file: 'access/http.yaml', bytes: Buffer.from(ACCESS) }]);
  return formatPolicyDocument({ ...document, ...(access === undefined ? {} : { access }) });
}

/** A trusted agent whose release takes HTTP requests. */
export async function start(yaml = ''): Promise<{ machine: SealedMachine; server: AgentServer }> {
  const machine = await sealMachine({ policy: policy() });
  const settings = machine.settings(yaml);
  const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };
  const server = await startServer(settings, common);
  onTestFinished(() => server.close());
  const measurer = await startMeasurer(settings, common);
  onTestFinished(() => measurer.close());
  await untilState(server.decideSocket, 'trusted');
  return { machine, server };
}

export type Asked = { status: number; headers: Readonly<Record<string, unknown>>; body: string };

/** Sends exactly these header lines, repeated ones too. */
export async function ask(
  to: { socketPath: string } | { port: number },
  method: string,
  path: string,
  headers: readonly (readonly [string, string])[],
): Promise<Asked> {
  const sent = request({
    ...('port' in to ? { host: '127.0.0.1', ...to } : to),
    method,
    path,
    headers: [['Host', 'shop.example'], ...headers].flat(),
    agent: false,
  }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let body = '';
  for await (const piece of response) body += String(piece);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

export const key = (one: { key: string }): [string, string] => ['X-API-Key', one.key];
export const nginx = (method: string, uri: string): [string, string][] => [
  ['X-Original-Method', method],
  ['X-Original-URI', uri],
];

import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { formatPolicyDocument } from '../../src/policy/document.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { readEntities } from '../../src/policy/entities.ts';
import { line, start } from './agent-process.ts';
import { sealMachine, untilState } from './sealed-machine.ts';
import { until } from './until.ts';

/*
 * contracts.md "Decision socket" and "What a request may claim": each way to be more than one is, or to be in the
 * way of others, tried on a running agent over both of its sockets.
 */
const POLICY = compilePolicy({
  schema: {
    file: 'schema.cedarschema',
    text: `
      entity Role in [Role];
      entity User in [Role] = { level?: Long };
      entity Document in [Role] = { owner?: User, labels?: Set<String> };
      action ReadDocument appliesTo { principal: User, resource: Document, context: { mfa?: Bool } };`,
  },
  policies: [
    {
      file: 'policies/main.cedar',
      text: `
        @id("admins") permit (principal in Role::"admin", action, resource);
        @id("level") permit (principal, action, resource) when { principal has level && principal.level > 5 };
        @id("owner") permit (principal, action, resource) when { resource has owner && resource.owner == principal };
        @id("admins-documents") permit (principal, action, resource in Role::"admin");
        @id("secret") forbid (principal, action, resource) when { resource has labels && resource.labels.contains("secret") };
        @id("mfa") forbid (principal, action, resource) when { context has mfa && !context.mfa };`,
    },
  ],
  entities: readEntities(
    Buffer.from(`entities:
  - uid: Role::admin
  - uid: User::root
    parents: [Role::admin]
  - uid: User::ana
    attrs: { level: 1 }
  - uid: Document::baked
    attrs: { owner: User::root }
`),
    'entities/main.yaml',
  ),
  openTypes: ['Document'],
});

type Agent = {
  decideSocket: string;
  linesSocket: string;
  pid: number;
  /** That it still answers both ways, and what it should. */
  expectWell: () => Promise<void>;
};

async function startAgent(): Promise<Agent> {
  const machine = await sealMachine({ policy: formatPolicyDocument(POLICY) });
  const serving = await start(machine, 'serve');
  await start(machine, 'measure');
  const { decideSocket, linesSocket } = (await line(serving, 'serving')) as unknown as Agent;
  await untilState(decideSocket, 'trusted', 30_000);
  const agent = { decideSocket, linesSocket, pid: serving.child.pid ?? 0 };
  return {
    ...agent,
    expectWell: async () => {
      for (const via of [askHttp, askLines]) {
        expect(await via(agent, JSON.stringify(ask({ subject: { id: 'root' } })))).toMatchObject({
          decision: true,
        });
        expect(await via(agent, JSON.stringify(ask({})))).toMatchObject({ decision: false });
      }
      expect(serving.lines.filter(({ code }) => code === 'internal')).toEqual([]);
    },
  };
}

type Sockets = Pick<Agent, 'decideSocket' | 'linesSocket'>;
type Json = { readonly [field: string]: unknown };

function ask(change: { subject?: object; resource?: object; context?: unknown }): object {
  return {
    id: 1,
    subject: { type: 'User', id: 'ana', ...change.subject },
    action: { name: 'ReadDocument' },
    resource: { type: 'Document', id: 'x', ...change.resource },
    ...(change.context === undefined ? {} : { context: change.context }),
  };
}

const head = (length: number | string, more = ''): string =>
  `POST /access/v1/evaluation HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${more}content-length: ${length}\r\n\r\n`;

/** Sends bytes and gives back all that is answered until the agent closes, or until `isEnough`. */
async function send(
  path: string,
  pieces: readonly (string | Buffer)[],
  isEnough: (heard: string) => boolean = () => false,
): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  let heard = '';
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on('error', () => undefined);
  socket.on('close', () => resolve());
  socket.on('end', () => resolve());
  socket.on('data', (chunk) => {
    heard += String(chunk);
    if (isEnough(heard)) resolve();
  });
  for (const piece of pieces) {
    socket.write(piece);
    if (pieces.length > 4) await new Promise((next) => void setImmediate(next));
  }
  await promise;
  socket.destroy();
  return heard;
}

/** The status and the JSON of one question over HTTP. */
async function askHttp({ decideSocket }: Sockets, body: string | Buffer): Promise<Json> {
  const heard = await send(decideSocket, [head(Buffer.byteLength(body), 'connection: close\r\n'), body]);
  const [headers = '', json = ''] = heard.split('\r\n\r\n');
  return { status: Number(headers.slice(9, 12)), ...(JSON.parse(json) as object) };
}

async function askLines({ linesSocket }: Sockets, body: string | Buffer): Promise<Json> {
  const heard = await send(linesSocket, [Buffer.concat([Buffer.from(body), Buffer.from('\n')])], (said) =>
    said.includes('\n'),
  );
  return JSON.parse(heard) as Json;
}

function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  return (
    Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  );
}
/** Descriptors of sockets: a thread that starts under load, the one that seals the log, has others. */
function socketsOf(pid: number): number {
  const isSocket = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
    } catch {
      return false; // closed since it was listed
    }
  };
  return readdirSync(`/proc/${pid}/fd`).filter(isSocket).length;
}

/** What a number comes to when it has stopped changing. */
async function settled(look: () => number): Promise<number> {
  for (let before = look(); ; before = look()) {
    await sleep(200);
    if (look() === before) return before;
  }
}

async function open(path: string, bytes: string): Promise<Socket> {
  const socket = connect(path);
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  if (bytes !== '') socket.write(bytes);
  return socket;
}

const owner = { __entity: { type: 'User', id: 'ana' } };

describe('a running agent', () => {
  it('gives nobody more than the release says, whatever a request claims, on either socket', async () => {
    const agent = await startAgent();
    expect(await askHttp(agent, JSON.stringify(ask({ resource: { properties: { owner } } })))).toMatchObject({
      decision: true,
    }); // what may be said of an open type
    const claims: [string, string][] = [
      ['an attribute of a baked subject', JSON.stringify(ask({ subject: { properties: { level: 9 } } }))],
      [
        'an attribute of a subject of a closed type',
        JSON.stringify(ask({ subject: { id: 'new', properties: { level: 9 } } })),
      ],
      [
        'an attribute of a baked resource',
        JSON.stringify(ask({ resource: { id: 'baked', properties: { owner } } })),
      ],
      [
        'parents of the subject',
        JSON.stringify(ask({ subject: { properties: { parents: [{ type: 'Role', id: 'admin' }] } } })),
      ],
      [
        'parents beside the properties',
        JSON.stringify(ask({ subject: { parents: [{ type: 'Role', id: 'admin' }] } })),
      ],
      [
        'parents of the resource',
        JSON.stringify(ask({ resource: { properties: { parents: ['Role::"admin"'] } } })),
      ],
      ['a subject that is a role', JSON.stringify(ask({ subject: { type: 'Role', id: 'admin' } }))],
      [
        'an owner that is a text',
        JSON.stringify(ask({ resource: { properties: { owner: 'User::"ana"' } } })),
      ],
      [
        'labels of another type, to slip by a forbid',
        JSON.stringify(ask({ resource: { properties: { owner, labels: 'secret' } } })),
      ],
      [
        'a number for a flag of the context',
        JSON.stringify(ask({ resource: { properties: { owner } }, context: { mfa: 1 } })),
      ],
      [
        '__proto__ in the properties',
        '{"id":1,"subject":{"type":"User","id":"ana"},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x","properties":{"__proto__":{"owner":{"__entity":{"type":"User","id":"ana"}}}}}}',
      ],
      [
        '__proto__ in place of the subject',
        '{"id":1,"__proto__":{"subject":{"type":"User","id":"root"}},"subject":{"type":"User","id":"ana"},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x"}}',
      ],
      [
        'constructor.prototype',
        '{"id":1,"constructor":{"prototype":{"decision":true,"level":9}},"subject":{"type":"User","id":"ana","properties":{"constructor":{"prototype":{"level":9}}}},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x"}}',
      ],
      [
        'a decision of its own',
        '{"id":1,"decision":true,"subject":{"type":"User","id":"ana"},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x"}}',
      ],
      ['NUL in an id', JSON.stringify(ask({ subject: { id: 'root\0' } }))],
      [
        'a longer number than a double holds',
        '{"id":1,"subject":{"type":"User","id":"ana","properties":{"level":99999999999999999999999}},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x"}}',
      ],
    ];
    for (const [what, body] of claims) {
      for (const via of [askHttp, askLines]) {
        expect((await via(agent, body))['decision'], what).toBe(false);
      }
    }
    const refused: [string, string | Buffer][] = [
      [
        'a key twice',
        '{"id":1,"subject":{"type":"User","id":"ana"},"subject":{"type":"User","id":"root"},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x"}}',
      ],
      [
        'a key twice in another spelling',
        '{"id":1,"subject":{"type":"User","id":"ana","\\u0069d":"root"},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x"}}',
      ],
      [
        'an unpaired surrogate',
        '{"id":1,"subject":{"type":"User","id":"\\ud800"},"action":{"name":"ReadDocument"},"resource":{"type":"Document","id":"x"}}',
      ],
      [
        'a surrogate in UTF-8',
        Buffer.from([
          ...Buffer.from('{"id":1,"subject":{"type":"User","id":"'),
          0xed,
          0xa0,
          0x80,
          ...Buffer.from('"}}'),
        ]),
      ],
      ['an overlong NUL', Buffer.from([...Buffer.from('{"id":"'), 0xc0, 0x80, ...Buffer.from('"}')])],
      ['a raw NUL', '{"id":1,"subject":"\0"}'],
      ['a byte order mark', `\ufeff${JSON.stringify(ask({}))}`],
      [
        'a subject that is a text',
        JSON.stringify(ask({})).replace('{"type":"User","id":"ana"}', '"User::root"'),
      ],
      ['an id that is a list', JSON.stringify(ask({ subject: { id: ['root'] } }))],
      ['a type that is an object', JSON.stringify(ask({ subject: { type: { toString: 'User' } } }))],
      ['a context that is a list', JSON.stringify(ask({ context: [] }))],
      ['arrays 30,000 deep', '['.repeat(30_000)],
    ];
    for (const [what, body] of refused) {
      expect(await askHttp(agent, body), what).toMatchObject({ status: 400 });
      expect(await askLines(agent, body), what).toMatchObject({ error: {} });
    }
    await agent.expectWell();
  });

  it('refuses what is too large or too deep and holds little of it', async () => {
    const agent = await startAgent();
    await agent.expectWell();
    const before = memory(agent.pid, 'VmRSS');
    const tenMegabytes = Buffer.alloc(10_000_000, 'x');
    const [deep, chunk] = ['['.repeat(1_000_000), `${(60_000).toString(16)}\r\n${'['.repeat(60_000)}\r\n`];
    for (let round = 0; round < 2; round += 1) {
      const heard = await Promise.all([
        send(agent.decideSocket, [head(tenMegabytes.length), tenMegabytes]),
        send(agent.decideSocket, [
          head('1', 'transfer-encoding: chunked\r\n').replace('content-length: 1\r\n', ''),
          ...Array<string>(170).fill(chunk),
        ]),
        send(agent.decideSocket, [head(deep.length, 'connection: close\r\n'), deep]),
        send(agent.linesSocket, [tenMegabytes]),
        send(agent.linesSocket, [deep, '\n']),
      ]);
      // A client that goes on writing may be cut off before it reads why.
      for (const said of heard.slice(0, 2)) expect(said).toMatch(/^(HTTP\/1\.1 413 |$)/);
      expect(heard[2]).toMatch(/^HTTP\/1\.1 400 [^]*nest more than 32 deep/);
      for (const said of heard.slice(3))
        expect(JSON.parse(said)).toMatchObject({ error: { code: 'line-too-long' } });
    }
    // Sent byte by byte, it may not cost an object a byte.
    const held = await Promise.all(
      Array.from({ length: 10 }, () =>
        open(
          agent.decideSocket,
          head('1', 'transfer-encoding: chunked\r\n').replace('content-length: 1\r\n', ''),
        ),
      ),
    );
    for (const socket of held) socket.write('1\r\nx\r\n'.repeat(170_000));
    await until('all of it to be read', () => held.every(({ writableLength }) => writableLength === 0));
    await agent.expectWell();
    expect(memory(agent.pid, 'VmHWM') - before).toBeLessThan(250);
  });

  it('takes no HTTP that two parsers could read differently, and goes on', async () => {
    const agent = await startAgent();
    const body = JSON.stringify(ask({ subject: { id: 'root' } }));
    const good = `${head(body.length)}${body}`;
    const bad: [string, string | Buffer][] = [
      ['two lengths that differ', `${head(3, `content-length: ${body.length}\r\n`)}${body}`],
      ['a length and chunks', `${head(3, 'transfer-encoding: chunked\r\n')}${body}`],
      ['a length with a sign', `${head(`+${body.length}`)}${body}`],
      ['a length in hexadecimal', `${head(`0x${body.length.toString(16)}`)}${body}`],
      [
        'chunks of no number',
        `${head(0, 'transfer-encoding: chunked\r\n').replace('content-length: 0\r\n', '')}zz\r\n${body}\r\n0\r\n\r\n`,
      ],
      [
        'a chunk longer than it says',
        `${head(0, 'transfer-encoding: chunked\r\n').replace('content-length: 0\r\n', '')}3\r\n${body}\r\n0\r\n\r\n`,
      ],
      [
        'another coding',
        `${head(0, 'transfer-encoding: gzip\r\n').replace('content-length: 0\r\n', '')}${body}`,
      ],
      ['a space before a colon', good.replace('host: x', 'host : x')],
      ['a folded header', good.replace('host: x', 'host: x\r\n y')],
      ['NUL in a header', good.replace('host: x', 'host: x\0')],
      ['NUL in the path', good.replace('/access', '/\0access')],
      ['bare line feeds', good.replaceAll('\r\n', '\n')],
      ['headers without end', `POST / HTTP/1.1\r\n${'a: b\r\n'.repeat(100_000)}`],
      ['one header of a megabyte', `POST / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(1_000_000)}\r\n\r\n`],
      ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['TLS', Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3])],
      ['a line of JSON', `${body}\n`],
    ];
    for (const [what, bytes] of bad) {
      const heard = await send(agent.decideSocket, [bytes, '\r\n\r\n']);
      expect(heard, what).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
      expect(heard, what).not.toContain('"decision":true');
    }
    const piped = await send(agent.decideSocket, [`${good}${good}garbage\r\n\r\n${good}`]);
    const statuses = piped.match(/HTTP\/1\.1 \d+/g) ?? [];
    expect(statuses.length).toBeLessThanOrEqual(3);
    expect(statuses.at(-1)).toBe('HTTP/1.1 400'); // and nothing after the garbage
    const garbage = await send(
      agent.linesSocket,
      [`${body}\n\0\n}{\nnull\nGET / HTTP/1.1\n${body}\n`],
      (heard) => heard.split('\n').length > 6,
    );
    expect(
      garbage
        .trimEnd()
        .split('\n')
        .map((text) => Object.keys(JSON.parse(text) as Json)[1]),
    ).toEqual(['decision', 'error', 'error', 'error', 'error', 'decision']);
    const everyByte = (text: string): string[] => text.split('');
    expect(
      await send(agent.decideSocket, everyByte(good.replace('host', 'connection: close\r\nhost'))),
    ).toContain('"decision":true');
    expect(await send(agent.linesSocket, everyByte(`${body}\n`), (heard) => heard.includes('\n'))).toContain(
      '"decision":true',
    );
    // Header lines beyond the bound are dropped or refused, never read as another request.
    const many = await send(agent.decideSocket, [
      good.replace(
        'host: x',
        `connection: close\r\nhost: x\r\n${Array.from({ length: 500 }, (_, index) => `x-${index}: y\r\n`).join('')}a: b`,
      ),
    ]);
    expect(many).toMatch(/^HTTP\/1\.1 (200|4\d\d) /);
    await agent.expectWell();
  });

  it('answers others while hundreds of clients are slow, and cuts those off', async () => {
    const agent = await startAgent();
    const slow: [keyof Sockets, string][] = [
      ['decideSocket', ''],
      ['decideSocket', 'POST /access/v1/evaluation HTTP/1.1\r\nhost: x\r\nx-'],
      ['decideSocket', `${head(1000)}{`],
      ['linesSocket', '{"id'],
    ];
    const sockets = (
      await Promise.all(
        slow.flatMap(([socket, bytes]) => Array.from({ length: 100 }, () => open(agent[socket], bytes))),
      )
    ).flat();
    const dripping = setInterval(() => {
      for (const [index, socket] of sockets.entries()) if (index >= 100 && socket.writable) socket.write('x');
    }, 500);
    onTestFinished(() => clearInterval(dripping));
    await agent.expectWell();
    await until(
      'all of them to be cut off',
      () => sockets.every(({ destroyed, readableEnded }) => destroyed || readableEnded),
      45_000,
    );
    await agent.expectWell();
  });

  it('leaks no descriptor and little memory under a storm of clients, and serves when all its places are taken', async () => {
    const agent = await startAgent();
    const body = JSON.stringify(ask({ subject: { id: 'root' } }));
    const storm = async (): Promise<void> => {
      for (let round = 0; round < 20; round += 1) {
        await Promise.all(
          Array.from({ length: 50 }, async (_, index) => {
            const path = index % 2 === 0 ? agent.decideSocket : agent.linesSocket;
            const bytes = index % 2 === 0 ? `${head(body.length)}${body}` : `${body}\n`;
            const socket = connect(path);
            socket.on('error', () => undefined);
            await once(socket, 'connect');
            if (index % 3 > 0) socket.write(bytes.slice(0, index % 3 === 1 ? 20 : undefined));
            if (index % 3 === 2) await once(socket, 'data');
            if (index % 4 < 2) socket.destroy();
            else socket.end();
            if (!socket.closed) await new Promise((resolve) => socket.resume().once('close', resolve));
          }),
        );
      }
    };
    await storm();
    await agent.expectWell();
    const sockets = await settled(() => socketsOf(agent.pid));
    const rss = memory(agent.pid, 'VmRSS');
    await storm();
    await until('all descriptors to be closed', () => socketsOf(agent.pid) <= sockets);
    expect(memory(agent.pid, 'VmRSS') - rss).toBeLessThan(100);

    for (const [path, bytes] of [
      [agent.decideSocket, `${head(body.length)}${body}`],
      [agent.linesSocket, `${body}\n`],
    ] as const) {
      const held = await Promise.all(Array.from({ length: 512 }, () => open(path, bytes)));
      await until('all places to be taken', () => socketsOf(agent.pid) >= sockets + 510);
      const more = await open(path, '');
      await once(more, 'close'); // the 513th is turned away, not queued
      held[0]?.destroy();
      await until('a place', () =>
        agent.expectWell().then(
          () => true,
          () => false,
        ),
      );
      for (const socket of held) socket.destroy();
      await until('all descriptors to be closed', () => socketsOf(agent.pid) <= sockets);
    }
    await agent.expectWell();
  });
});

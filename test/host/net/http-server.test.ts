import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { type HttpServerOptions, type PlainRequest, serveHttp } from '../../../src/host/net/http-server.ts';
import { requestUnix } from '../../../src/host/net/unix-http.ts';

async function serve(
  change: Partial<HttpServerOptions> = {},
): Promise<{ path: string; seen: PlainRequest[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'sealborn-'));
  const path = join(directory, 'http.sock');
  const seen: PlainRequest[] = [];
  const server = await serveHttp({
    listen: { path, mode: 0o660 },
    handle: (request) => {
      seen.push(request);
      return { status: 200, headers: { 'content-type': 'text/plain' }, body: `${request.body.length}` };
    },
    maxBodyBytes: 1000,
    maxConnections: 16,
    headersTimeoutMs: 5000,
    onError: () => undefined,
    ...change,
  });
  onTestFinished(async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });
  return { path, seen };
}

/** Writes raw bytes and reads until the server closes the connection. */
async function raw(path: string, ...pieces: (string | Buffer)[]): Promise<string> {
  const socket = connect(path);
  onTestFinished(() => void socket.destroy());
  return talk(socket, pieces);
}

async function talk(socket: Socket, pieces: (string | Buffer)[]): Promise<string> {
  let heard = '';
  socket.on('data', (chunk) => (heard += String(chunk)));
  socket.on('error', () => undefined);
  for (const piece of pieces) socket.write(piece);
  await once(socket, 'close');
  return heard;
}

describe('serveHttp', () => {
  it('gives the handler a whole request and the client the whole answer, on a socket of the given mode', async () => {
    const { path, seen } = await serve();
    expect((await stat(path)).mode & 0o7777).toBe(0o660);
    const answer = await requestUnix(
      path,
      { method: 'POST', path: '/a/b?x=%2e%2e', headers: { 'X-Request-ID': '7' }, body: 'hello' },
      5000,
    );
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/plain' } });
    expect(answer.body.toString()).toBe('5');
    expect(seen[0]).toMatchObject({ method: 'POST', path: '/a/b', headers: { 'x-request-id': '7' } });
  });

  it('answers several requests on one connection, in order', async () => {
    const { path } = await serve();
    const one = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc';
    const last = 'POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nabcd';
    const heard = await raw(path, one + one + last);
    expect(heard.match(/\r\n\r\n(\d)/g)).toEqual(['\r\n\r\n3', '\r\n\r\n3', '\r\n\r\n4']);
  });

  it('answers HEAD without a body but with its length', async () => {
    const { path } = await serve();
    const heard = await raw(path, 'HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(heard).toMatch(/^HTTP\/1\.1 200 .*content-length: 1\r\n/is);
    expect(heard).toMatch(/\r\n\r\n$/);
  });

  it('answers 413 to a declared and to a chunked body that is too large, and closes', async () => {
    const { path, seen } = await serve();
    const declared = await raw(path, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n', 'abc');
    expect(declared).toMatch(/^HTTP\/1\.1 413 /);
    const chunk = `400\r\n${'x'.repeat(0x400)}\r\n`;
    const chunked = await raw(
      path,
      'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n',
      chunk,
      chunk,
    );
    expect(chunked).toMatch(/^HTTP\/1\.1 413 /);
    expect(seen).toEqual([]);
  });

  it.each([
    ['bytes that are no HTTP', Buffer.from([0, 1, 2, 255, 10, 10, 13, 10]), /^HTTP\/1\.1 400 /],
    ['a request line alone', 'GARBAGE\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
    [
      'headers beyond 16 KiB',
      `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
      /^HTTP\/1\.1 431 /,
    ],
    [
      'a length and chunks at once (smuggling)',
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
  ])('refuses %s, and goes on serving', async (_, bytes, answer) => {
    const { path, seen } = await serve();
    expect(await raw(path, bytes)).toMatch(answer);
    expect(seen).toEqual([]);
    expect((await requestUnix(path, { method: 'GET', path: '/' }, 5000)).status).toBe(200);
  });

  it('cuts off a client that sends nothing, or its headers or its body too slowly', async () => {
    const { path, seen } = await serve({ headersTimeoutMs: 100 });
    expect(await raw(path)).toMatch(/^HTTP\/1\.1 408 |^$/);
    expect(await raw(path, 'GET / HTTP/1.1\r\nhost: x\r\nx-slow: ')).toMatch(/^HTTP\/1\.1 408 |^$/);
    expect(await raw(path, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab')).toMatch(
      /^HTTP\/1\.1 408 |^$/,
    );
    expect(seen).toEqual([]);
  });

  it('refuses more header lines than it reads, rather than dropping some of them', async () => {
    const { path, seen } = await serve();
    const lines = (count: number): string => Array.from({ length: count }, (_, n) => `x${n}: 1\r\n`).join('');
    const start = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n';
    expect(await raw(path, `${start}${lines(99)}\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(seen).toEqual([]);
    expect(await raw(path, `${start}${lines(98)}\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
    expect(seen[0]?.rawHeaders).toHaveLength(200);
  });

  it('waits for an answer that comes later, keeps answers in order, and answers 500 where none comes', async () => {
    const first = Promise.withResolvers<void>();
    const { path } = await serve({
      handle: (request) => {
        const answer = { status: 200, headers: {}, body: request.target };
        if (request.target === '/now') {
          first.resolve();
          return answer;
        }
        return first.promise.then(() => {
          if (request.target === '/never') throw new Error('secret');
          return answer;
        });
      },
    });
    const get = (target: string, more = ''): string => `GET ${target} HTTP/1.1\r\nhost: x\r\n${more}\r\n`;
    const heard = await raw(path, get('/later?a=1') + get('/now') + get('/never', 'connection: close\r\n'));
    expect(heard.match(/HTTP\/1\.1 \d+|\/later\?a=1|\/now|internal error/g)).toEqual([
      'HTTP/1.1 200',
      '/later?a=1',
      'HTTP/1.1 200',
      '/now',
      'HTTP/1.1 500',
      'internal error',
    ]);
  });

  it('says which process asks over a Unix socket, its groups among it, and of none over TCP', async () => {
    const peers: ReturnType<PlainRequest['peer']>[] = [];
    const { path } = await serve({
      handle: (request) => {
        peers.push(request.peer());
        return { status: 200, headers: {}, body: '' };
      },
    });
    await requestUnix(path, { method: 'GET', path: '/' }, 5000);
    expect(peers).toMatchObject([{ uid: process.geteuid?.(), gid: process.getegid?.() }]);
    // getgroups(2) may or may not count the effective group among them.
    expect(process.getgroups?.()).toEqual(expect.arrayContaining([...(peers[0]?.groups ?? [])]));
    const asked: unknown[] = [];
    const tcp = await serveHttp({
      listen: { host: '127.0.0.1', port: 0 },
      handle: (request) => {
        asked.push(request.peer());
        return { status: 200, headers: {}, body: '' };
      },
      maxBodyBytes: 0,
      maxConnections: 1,
      headersTimeoutMs: 5000,
      onError: () => undefined,
    });
    onTestFinished(() => tcp.close());
    await fetch(`http://127.0.0.1:${tcp.port}/`);
    expect(asked).toEqual([undefined]);
  });

  it('answers 500 without a word of why when the handler throws, and tells the log', async () => {
    const told: unknown[] = [];
    const { path } = await serve({
      handle: () => {
        throw new Error('secret');
      },
      onError: (thrown) => told.push(thrown),
    });
    const answer = await requestUnix(path, { method: 'GET', path: '/' }, 5000);
    expect([answer.status, answer.body.toString()]).toEqual([500, 'internal error\n']);
    expect(told).toHaveLength(1);
  });
});

describe('requestUnix', () => {
  async function listener(speak: (socket: Socket) => void): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'sealborn-'));
    const path = join(directory, 'x.sock');
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      speak(socket);
    }).listen(path);
    await once(server, 'listening');
    onTestFinished(async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await rm(directory, { recursive: true, force: true });
    });
    return path;
  }

  it('throws unreachable where nothing listens, or a file stands', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealborn-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const path = join(directory, 'x');
    await expect(requestUnix(path, { method: 'GET', path: '/' }, 1000)).rejects.toMatchObject({
      code: 'unreachable',
    });
    await writeFile(path, '');
    await expect(requestUnix(path, { method: 'GET', path: '/' }, 1000)).rejects.toMatchObject({
      code: 'unreachable',
    });
  });

  it('throws timeout where no whole answer comes', async () => {
    const silent = await listener(() => undefined);
    const half = await listener((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'));
    for (const path of [silent, half]) {
      await expect(requestUnix(path, { method: 'GET', path: '/' }, 50)).rejects.toMatchObject({
        code: 'timeout',
      });
    }
  });

  it('throws answer-malformed for garbage and for an answer without end', async () => {
    const garbage = await listener((socket) => socket.end('hello\n\n'));
    const endless = await listener((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const more = (): void => void (socket.writable && socket.write(Buffer.alloc(1024 * 1024), more));
      more();
    });
    for (const path of [garbage, endless]) {
      await expect(requestUnix(path, { method: 'GET', path: '/' }, 5000)).rejects.toMatchObject({
        code: 'answer-malformed',
      });
    }
  });
});

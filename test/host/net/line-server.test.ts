import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';

import { type LineServerOptions, serveLines } from '../../../src/host/net/line-server.ts';
import { temporaryDirectory } from '../../agent/temporary-directory.ts';
import { until } from '../../agent/until.ts';

type Served = { path: string; answered: () => number };

async function serve(change: Partial<LineServerOptions> = {}): Promise<Served> {
  const path = join(await temporaryDirectory(), 'lines.sock');
  let answered = 0;
  const { answer = (line: Buffer) => `<${String(line)}>`, ...rest } = change;
  const server = await serveLines({
    listen: { path, mode: 0o660 },
    answer: (line, client) => {
      answered += 1;
      return answer(line, client);
    },
    refuse: (code) => `refused: ${code}`,
    maxLineBytes: 100,
    maxConnections: 16,
    patienceMs: 20_000,
    idleMs: 20_000,
    onError: () => undefined,
    ...rest,
  });
  onTestFinished(() => server.close());
  return { path, answered: () => answered };
}

type Client = { socket: Socket; heard: () => string };

function open(path: string): Client {
  const socket = connect({ path, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  let heard = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => (heard += String(chunk)));
  return { socket, heard: () => heard };
}

/** Sends all of it, closes its side, and reads until the server has closed too. */
async function talk(path: string, pieces: readonly (string | Buffer)[]): Promise<string> {
  const { socket, heard } = open(path);
  const over = once(socket, 'end');
  for (const piece of pieces) {
    socket.write(piece);
    if (pieces.length > 1) await sleep(0); // so that they arrive apart
  }
  socket.end();
  await over;
  return heard();
}

describe('serveLines', () => {
  it('answers each line in order on a socket of the given mode, also after the client closed its side', async () => {
    const { path } = await serve();
    expect((await stat(path)).mode & 0o7777).toBe(0o660);
    expect(await talk(path, ['a\nb\n\nc\n'])).toBe('<a>\n<b>\n<>\n<c>\n');
    expect(await talk(path, [])).toBe('');
  });

  it('gives the same answers however the bytes are cut', async () => {
    const { path } = await serve();
    const lines = fc.array(fc.stringMatching(/^[^\n]{0,20}$/), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.nat({ max: 120 }), { maxLength: 6 }), async (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        expect(await talk(path, pieces)).toBe(lines.map((line) => `<${line}>\n`).join(''));
      }),
      { numRuns: 30 },
    );
  });

  it('answers lines that arrive together by one write', async () => {
    const { path } = await serve();
    const { socket } = open(path);
    socket.write('1\n'.repeat(1000));
    const [first] = (await once(socket, 'data')) as [Buffer];
    expect(String(first)).toBe('<1>\n'.repeat(1000));
  });

  it('reads no further while the client does not read, and loses nothing', async () => {
    const { path, answered } = await serve({ answer: () => 'x'.repeat(1000) });
    const { socket, heard } = open(path);
    const count = 100_000;
    socket.pause();
    socket.write('y\n'.repeat(count));
    let before = -1;
    await until('the server to stop', async () => {
      const stopped = before > 0 && before === answered();
      before = answered();
      await sleep(50);
      return stopped;
    });
    // What the kernel and both ends buffer is well below a megabyte.
    expect(answered()).toBeLessThan(5000);
    socket.resume();
    socket.end();
    await once(socket, 'end');
    expect(heard().length).toBe(count * 1001);
  });

  it.each<[string, (socket: Socket) => Promise<void>]>([
    ['does not read', () => Promise.resolve()],
    [
      'reads a byte now and then',
      async (socket) => {
        while (!socket.destroyed && !socket.readableEnded) {
          socket.read(1);
          await sleep(5);
        }
      },
    ],
  ])('cuts off a client that asks and %s', async (_, read) => {
    const { path, answered } = await serve({ answer: () => 'x'.repeat(1000), patienceMs: 100 });
    const socket = connect(path);
    onTestFinished(() => void socket.destroy());
    const failed = new Promise((resolve) => socket.once('error', resolve));
    socket.write('y\n'.repeat(2_000_000)); // more than fits into the kernel's buffers
    void read(socket);
    await failed; // EPIPE or ECONNRESET: there were lines left that it could not send
    expect(answered()).toBeLessThan(20_000);
  });

  it('refuses a line that is too long and closes, after the answers before it', async () => {
    const { path, answered } = await serve();
    const { socket, heard } = open(path);
    socket.write(`a\n${'x'.repeat(1_000_000)}`); // it can send all of it and still read why
    socket.end('b\n');
    await once(socket, 'end');
    expect(heard()).toBe('<a>\nrefused: line-too-long\n');
    expect(answered()).toBe(1);
    expect(await talk(path, [`${'x'.repeat(100)}\n`])).toBe(`<${'x'.repeat(100)}>\n`);
  });

  it('refuses a last line that has no newline', async () => {
    const { path, answered } = await serve();
    expect(await talk(path, ['a\nb'])).toBe('<a>\nrefused: line-unfinished\n');
    expect(answered()).toBe(1);
  });

  it('cuts off a client that takes too long with a line, though it sends a byte now and then', async () => {
    const { path } = await serve({ patienceMs: 100 });
    const { socket, heard } = open(path);
    const sending = setInterval(() => socket.write('x'), 10);
    await once(socket, 'end');
    clearInterval(sending);
    expect(heard()).toBe('refused: line-unfinished\n');
  });

  it('keeps a client whose bytes always end within a line, as long as each line ends in time', async () => {
    const { path } = await serve({ patienceMs: 500 });
    const { socket, heard } = open(path);
    socket.write('x');
    for (let sent = 0; sent < 60; sent += 1) {
      await sleep(20);
      socket.write('y\nx');
    }
    socket.end('y\n');
    await once(socket, 'end');
    expect(heard()).toBe('<xy>\n'.repeat(61));
  });

  it('closes a connection that is idle, not one that asks', async () => {
    const { path } = await serve({ patienceMs: 100, idleMs: 1000 });
    const [idle, busy] = [open(path), open(path)];
    const asking = setInterval(() => busy.socket.write('x\n'), 20);
    await once(idle.socket, 'end');
    expect([idle.heard(), busy.socket.readableEnded]).toEqual(['', false]);
    clearInterval(asking);
    await once(busy.socket, 'end');
  });

  it('takes no more connections than it may, and others again when some have ended', async () => {
    const { path } = await serve({ maxConnections: 2 });
    const [one, two] = [open(path), open(path)];
    for (const { socket } of [one, two]) socket.write('x\n');
    await until('both answers', () => one.heard() !== '' && two.heard() !== '');
    const third = open(path);
    await once(third.socket, 'end');
    expect(third.heard()).toBe('');
    one.socket.end();
    await once(one.socket, 'end');
    await until('a place', () => talk(path, ['z\n']).then((heard) => heard === '<z>\n'));
  });

  it('costs no Buffer for each byte of a line that comes byte by byte', async () => {
    const { path } = await serve({ maxLineBytes: 70_000 });
    const { socket, heard } = open(path);
    await once(socket, 'connect');
    for (let sent = 0; sent < 3000; sent += 1) {
      socket.write('x');
      await new Promise((resolve) => void setImmediate(resolve));
    }
    socket.write('\n');
    await until('the answer', () => heard().endsWith('\n'));
    expect(heard()).toBe(`<${'x'.repeat(3000)}>\n`);
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { lstat, writeFile } from 'node:fs/promises';
import { type Socket, connect, createServer } from 'node:net';
import { once } from 'node:events';

import { describe, expect, it, onTestFinished } from 'vitest';

import { formatMessage, parseMessage } from '../../src/agent/channel-message.ts';
import { startState } from '../../src/agent/state.ts';
import { type VerdictFollower, type VerdictView, followVerdict } from '../../src/agent/verdict-follower.ts';
import { publishVerdict, verdictSocketPath } from '../../src/agent/measure/verdict-publisher.ts';
import type { Verdict } from '../../src/attestation/verdict.ts';
import { listenUnix } from '../../src/host/net/unix-listen.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const starting: Verdict = startState('2026-11-23T12:00:00.000Z').verdict;
const trusted: Verdict = { ...starting, state: 'trusted' };
const retryMs = { first: 5, most: 20 };

type Seen = {
  follower: VerdictFollower;
  until: (wanted: (view: VerdictView) => boolean) => Promise<VerdictView>;
};

/** A follower, and a way to wait for a view of it. */
function follow(
  directory: string,
  options: { silenceMs?: number; clock?: () => number } = {},
  see: (view: VerdictView) => void = () => undefined,
): Seen {
  const waiting = new Set<() => void>();
  const follower = followVerdict({
    path: verdictSocketPath(directory),
    retryMs,
    onChange: (view) => {
      see(view);
      for (const look of waiting) look();
    },
    ...options,
  });
  onTestFinished(() => follower.close());
  const until = async (wanted: (view: VerdictView) => boolean): Promise<VerdictView> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (wanted(follower.view())) resolve();
    };
    waiting.add(look);
    look();
    // A view can also turn good without a change to tell of: when heartbeats that waited are read.
    const again = setInterval(look, 20);
    await promise;
    clearInterval(again);
    waiting.delete(look);
    return follower.view();
  };
  return { follower, until };
}

const isLive = (view: VerdictView): boolean => view.live;
const isLost = (code: string) => (view: VerdictView) => !view.live && view.reason.code === code;

/** Something else than a measuring half at verdict.sock. */
async function impostor(directory: string, speak: (socket: Socket) => void): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    speak(socket);
  });
  await listenUnix(server, { path: verdictSocketPath(directory), mode: 0o660 });
  onTestFinished(() => void server.close());
}

describe('publishVerdict and followVerdict', () => {
  it('hand over the verdict that stands at connect, then every new one', async () => {
    const directory = await temporaryDirectory();
    const publisher = await publishVerdict(directory, starting, 10);
    onTestFinished(() => publisher.close());
    expect((await lstat(verdictSocketPath(directory))).mode & 0o7777).toBe(0o660);
    const { until, follower } = follow(directory);
    expect(await until(isLive)).toEqual({ live: true, verdict: starting });
    publisher.publish(trusted);
    await until((view) => view.live && view.verdict.state === 'trusted');
    expect(follower.silenceMs()).toBeLessThan(5000);
  });

  it('lose the verdict when the publisher closes, and find the next publisher', async () => {
    const directory = await temporaryDirectory();
    const first = await publishVerdict(directory, trusted);
    const { until, follower } = follow(directory);
    await until(isLive);
    await first.close();
    expect(await until(isLost('measurer-unreachable'))).toMatchObject({ live: false, last: trusted });
    expect(follower.silenceMs()).toBeUndefined();
    const second = await publishVerdict(directory, starting);
    onTestFinished(() => second.close());
    expect(await until(isLive)).toEqual({ live: true, verdict: starting });
  });

  it('lose the verdict when the publisher falls silent', async () => {
    const directory = await temporaryDirectory();
    const publisher = await publishVerdict(directory, trusted, 1e6);
    onTestFinished(() => publisher.close());
    const { until } = follow(directory, { silenceMs: 80 });
    await until(isLive);
    expect(await until(isLost('measurer-silent'))).toMatchObject({ live: false, last: trusted });
  });

  it('look at the clock when asked, so that a late timer stretches nothing', async () => {
    const directory = await temporaryDirectory();
    const publisher = await publishVerdict(directory, trusted, 1e6);
    onTestFinished(() => publisher.close());
    let now = 1000;
    const { until, follower } = follow(directory, { silenceMs: 5000, clock: () => now });
    await until(isLive);
    now += 4999;
    expect(follower.view().live).toBe(true);
    now += 1;
    expect(follower.view()).toMatchObject({ live: false, reason: { code: 'measurer-silent' } });
  });

  it('read what waits in the socket before they call a silence, where this process was busy itself', async () => {
    const directory = await temporaryDirectory();
    const script = `
      import { publishVerdict } from '${new URL('../../src/agent/measure/verdict-publisher.ts', import.meta.url).href}';
      await publishVerdict('${directory}', ${JSON.stringify(trusted)}, 50);
      console.log('ready');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const seen: VerdictView[] = [];
    const { until, follower } = follow(directory, { silenceMs: 400 }, (view) => seen.push(view));
    await until(isLive);
    const busyUntil = performance.now() + 1000;
    while (performance.now() < busyUntil); // a long piece of work that lets nothing else run
    expect(follower.view()).toMatchObject({ live: false, reason: { code: 'measurer-silent' } });
    await until(isLive); // as soon as the socket is read
    expect(seen.some(isLost('measurer-silent'))).toBe(false);
  });

  it('stay live as long as heartbeats come', async () => {
    const directory = await temporaryDirectory();
    const publisher = await publishVerdict(directory, trusted, 20);
    onTestFinished(() => publisher.close());
    const socket = connect(verdictSocketPath(directory));
    onTestFinished(() => void socket.destroy());
    const { until, follower } = follow(directory, { silenceMs: 200 });
    await until(isLive);
    let heard = 0;
    for await (const chunk of socket) {
      heard += String(chunk).split('"heartbeat"').length - 1;
      expect(follower.view().live).toBe(true);
      if (heard >= 25) break;
    }
  });

  it('cut off a listener that speaks', async () => {
    const directory = await temporaryDirectory();
    const publisher = await publishVerdict(directory, trusted);
    onTestFinished(() => publisher.close());
    const socket = connect(verdictSocketPath(directory));
    socket.resume();
    socket.on('error', () => undefined);
    socket.write('{"type":"verdict"}\n');
    await once(socket, 'close');
  });
});

describe('followVerdict', () => {
  it.each([
    ['a line that is no JSON', 'trusted\n'],
    ['an unknown message', '{"type":"hello"}\n'],
    [
      'a verdict with an unknown field',
      `${JSON.stringify({ type: 'verdict', verdict: { ...trusted, x: 1 } })}\n`,
    ],
    [
      'a state that is none',
      `${JSON.stringify({ type: 'verdict', verdict: { ...trusted, state: 'fine' } })}\n`,
    ],
    ['a line without end', 'x'.repeat(2 * 1024 * 1024)],
    [
      'a heartbeat that does not count up',
      `${formatMessage({ type: 'verdict', verdict: trusted })}${'{"type":"heartbeat","count":1}\n'.repeat(2)}`,
    ],
  ])('believes nothing of a publisher that sends %s', async (_, bytes) => {
    const directory = await temporaryDirectory();
    await impostor(directory, (socket) => socket.write(bytes));
    const { until } = follow(directory);
    await until(isLost('measurer-malformed'));
  });

  it('is not live before a verdict came, whatever else did', async () => {
    const directory = await temporaryDirectory();
    const connected = Promise.withResolvers<void>();
    await impostor(directory, (socket) => {
      socket.write('{"type":"heartbeat","count":1}\n', () => connected.resolve());
    });
    const { follower } = follow(directory);
    await connected.promise;
    expect(follower.view().live).toBe(false);
    expect(follower.silenceMs()).toBeUndefined();
  });
});

describe('parseMessage', () => {
  it('reads what formatMessage wrote', () => {
    for (const message of [
      { type: 'verdict', verdict: trusted },
      { type: 'heartbeat', count: 7 },
    ] as const) {
      expect(parseMessage(Buffer.from(formatMessage(message).trimEnd()))).toEqual(message);
    }
  });

  it('throws channel-malformed for bytes that are not UTF-8', () => {
    expect(() => parseMessage(Buffer.of(0x22, 0xff, 0x22))).toThrow(
      expect.objectContaining({ code: 'channel-malformed' }),
    );
  });
});

describe('listenUnix', () => {
  it('replaces a socket that a dead process left', async () => {
    const directory = await temporaryDirectory();
    const path = verdictSocketPath(directory);
    const child: ChildProcess = spawn(
      process.execPath,
      ['-e', `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(child.stdout!, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const publisher = await publishVerdict(directory, trusted);
    await publisher.close();
  });

  it('refuses a socket that answers, a file at the path, and a path that is too long', async () => {
    const directory = await temporaryDirectory();
    const publisher = await publishVerdict(directory, trusted);
    await expect(publishVerdict(directory, trusted)).rejects.toMatchObject({ code: 'address-in-use' });
    await publisher.close();
    await writeFile(verdictSocketPath(directory), 'mine');
    await expect(publishVerdict(directory, trusted)).rejects.toMatchObject({ code: 'already-exists' });
    await expect(publishVerdict(`${directory}/${'x'.repeat(90)}`, trusted)).rejects.toMatchObject({
      code: 'address-invalid',
    });
  });
});

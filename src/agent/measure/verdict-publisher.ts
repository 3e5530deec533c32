import { type Socket, createServer } from 'node:net';
import { join } from 'node:path';

import type { Verdict } from '../../attestation/verdict.ts';
import { listenUnix } from '../../host/net/unix-listen.ts';
import { HEARTBEAT_MS, MAX_MESSAGE_BYTES, formatMessage } from '../channel-message.ts';

/** The socket by which the measuring half says its verdict. */
export function verdictSocketPath(runDirectory: string): string {
  return join(runDirectory, 'verdict.sock');
}

export type VerdictPublisher = {
  publish: (verdict: Verdict) => void;
  close: () => Promise<void>;
};

/** Listeners at most: the serving half is one; the rest is room for a person who looks. */
const MAX_LISTENERS = 16;

/**
 * The measuring half's end of verdict.sock (mode 0660): whoever connects gets the verdict that stands, then
 * each new one, and a heartbeat every second. Nothing is read from it: a listener that speaks, or that does
 * not read, is cut off.
 * @throws HostError where it can't listen
 */
export async function publishVerdict(
  runDirectory: string,
  first: Verdict,
  heartbeatMs: number = HEARTBEAT_MS,
): Promise<VerdictPublisher> {
  let current = formatMessage({ type: 'verdict', verdict: first });
  let count = 0;
  const sockets = new Set<Socket>();
  const say = (line: string): void => {
    for (const socket of sockets) {
      if (socket.writableLength > MAX_MESSAGE_BYTES) socket.destroy();
      else socket.write(line);
    }
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', () => socket.destroy());
    socket.write(current);
  });
  server.maxConnections = MAX_LISTENERS;
  await listenUnix(server, { path: verdictSocketPath(runDirectory), mode: 0o660 });
  const timer = setInterval(() => {
    count += 1;
    say(formatMessage({ type: 'heartbeat', count }));
  }, heartbeatMs);
  return {
    publish: (verdict) => {
      current = formatMessage({ type: 'verdict', verdict });
      say(current);
    },
    close: async () => {
      clearInterval(timer);
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
      await promise;
    },
  };
}

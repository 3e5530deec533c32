import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { EmulatedMachine } from './emulate.ts';

/** An emulated processor takes its time, and more where others use the machine too. */
const PATIENCE_MS = 840_000;

/** Asks again and again until it is so; gives up where the machine ended. */
export async function untilHere<T>(
  machine: EmulatedMachine,
  what: string,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (!machine.isRunning() || performance.now() > end) {
      throw new Error(`in vain: ${what}; ${JSON.stringify([...machine.probe()])}\n${machine.console()}`);
    }
    await sleep(500);
  }
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = createServer();
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
  });
  return promise;
}

import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';

import { type LogHead, sealLines, sealedRoom } from '../../attestation/log-line.ts';
import { startWorker } from '../threads/start-worker.ts';

/** What the thread is told: how much of the memory that it shares is lines, and where the log stands before them. */
export type SealJob = { bytes: number; before: LogHead | undefined };
/** What it says: the lines, sealed, and where the log stands after them. */
export type SealedLines = { memory: SharedArrayBuffer; size: number; after: LogHead | undefined };

export type Sealed = { bytes: Buffer; after: LogHead | undefined };

export type LineSealer = {
  /** Bytes of lines that it may be given at one go without keeping this thread from its work for long. */
  most: () => number;
  /** Seals lines, each with its newline, into the chain. What it gives back is overwritten by the next call. */
  seal: (before: LogHead | undefined, lines: Buffer) => Promise<Sealed>;
  close: () => Promise<void>;
};

/** Bytes sealed here at one go: a tenth of a millisecond of hashing. */
export const BATCH: number = 64 * 1024;
/** What the thread is given at most. */
export const LARGE_BATCH: number = 512 * 1024;
/** Less than this is sealed here: handing it over would cost more. */
const SMALL_BATCH = 16 * 1024;
const YOUNG_MB = 2;

type Thread = { worker: Worker; input: Buffer; isReady: boolean };

/**
 * Seals lines of the decision log: here while they are few, in a thread of its own once half a batch waits at a time, on
 * a machine of more than one processor. Where that thread ends, lines are sealed here again.
 */
export function createLineSealer(): LineSealer {
  let memory = Buffer.allocUnsafeSlow(2 * BATCH);
  let thread: Thread | undefined;
  let mayStart = availableParallelism() > 1;
  let answer: { resolve: (sealed: SealedLines) => void; reject: () => void } | undefined;

  const sealHere = (before: LogHead | undefined, lines: Buffer): Sealed => {
    const room = sealedRoom(lines);
    if (room > memory.length) memory = Buffer.allocUnsafeSlow(2 * room);
    const { size, after } = sealLines(before, lines, memory);
    return { bytes: memory.subarray(0, size), after };
  };
  const start = (): void => {
    mayStart = false; // not again either, where it ended
    const shared = new SharedArrayBuffer(LARGE_BATCH);
    const worker = startWorker('seal-worker', {
      name: 'sealborn-seal',
      workerData: shared,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    const started: Thread = { worker, input: Buffer.from(shared), isReady: false };
    const end = (): void => {
      if (thread === started) thread = undefined;
      answer?.reject();
    };
    worker.once('online', () => (started.isReady = true));
    worker.on('message', (sealed: SealedLines) => answer?.resolve(sealed));
    worker.on('error', end);
    worker.on('exit', end);
    worker.unref();
    thread = started;
  };
  const sealThere = async (
    { worker, input }: Thread,
    before: LogHead | undefined,
    lines: Buffer,
  ): Promise<Sealed> => {
    lines.copy(input);
    worker.postMessage({ bytes: lines.length, before } satisfies SealJob);
    worker.ref(); // lines that were taken keep the process until they are written
    try {
      const { promise, resolve, reject } = Promise.withResolvers<SealedLines>();
      answer = { resolve, reject };
      const { memory: sealed, size, after } = await promise;
      return { bytes: Buffer.from(sealed, 0, size), after };
    } catch {
      return sealHere(before, input.subarray(0, lines.length));
    } finally {
      answer = undefined;
      worker.unref();
    }
  };
  return {
    most: () => (thread?.isReady === true ? LARGE_BATCH : BATCH),
    seal: async (before, lines) => {
      if (mayStart && lines.length > BATCH / 2) start();
      const isForThread = lines.length >= SMALL_BATCH && lines.length <= LARGE_BATCH;
      if (isForThread && thread?.isReady === true) return sealThere(thread, before, lines);
      return sealHere(before, lines);
    },
    close: async () => void (await thread?.worker.terminate()),
  };
}

import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';

import type { Finding } from '../../base/finding.ts';
import { readDirectoriesAhead } from './directory-read-ahead.ts';
import type { FromWorker, ToWorker } from '../threads/hash-worker.ts';
import { HostError, hostErrorOf } from '../host-error.ts';
import { close } from '../kernel/linux.ts';
import {
  CONTROL_NEXT_UNIT,
  CONTROL_STOP,
  CONTROL_WAITS,
  COUNTER_STRIDE,
  type MeasureAnswer,
  type MeasureJob,
  type MeasureMode,
  type Work,
} from './measure-job.ts';
import { openRoot } from './open-root.ts';
import { startWorker } from '../threads/start-worker.ts';

/** More threads than this wait for the same disk or memory. */
const MAX_WORKERS = 8;

/**
 * Megabytes of a thread's heap for what dies at once. A thread makes a few small objects a file; with V8's own
 * choice, two threads took 30 MB more over 120,000 files and were no faster.
 */
const YOUNG_MB = 4;

/** How often progress is said: ten times a second is what an eye follows. */
const PROGRESS_MS = 100;

/** How far a run is. `totalFiles` and `totalBytes` are what a whole check of the tree reads. */
export type Progress = {
  files: number;
  bytes: number;
  totalFiles?: number;
  totalBytes?: number;
  /** Entries found while the tree is being listed, before anything is read. */
  listed?: number;
  seconds: number;
};

export type RunOptions = {
  mode: MeasureMode;
  /** When the run begins: findings carry it. */
  now: Date;
  /** What is looked at; everything unless told. */
  work?: Work;
  /** See `MeasureRun.share`. */
  share?: number | undefined;
  onProgress?: ((done: { files: number; bytes: number }) => void) | undefined;
  /** Hears of the first finding of each thread at once. */
  onFinding?: ((finding: Finding) => void) | undefined;
  signal?: AbortSignal | undefined;
};

/** What the threads found, and how many files and bytes they read. */
export type RunResult = { answers: MeasureAnswer[]; files: number; bytes: number };

/** Threads for a measurement: as many as asked for, else one for each processor, at most `MAX_WORKERS`. */
export function workerCount(asked: number | undefined): number {
  return Math.max(1, Math.min(MAX_WORKERS, asked ?? availableParallelism()));
}

/** Threads that inspect one tree. Runs go one after the other: two at once is the caller's mistake. */
export class HashPool {
  readonly #root: string;
  readonly #job: MeasureJob;
  readonly #workers: Worker[];
  #running: Promise<unknown> = Promise.resolve();
  #died: unknown;

  constructor(root: string, job: MeasureJob, workers: number) {
    this.#root = root;
    this.#job = job;
    this.#workers = Array.from({ length: workers }, (_, thread) => {
      const worker = startWorker('hash-worker', {
        name: 'sealborn-hash',
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      });
      worker.unref();
      worker.on('error', (thrown) => (this.#died ??= thrown));
      worker.on('exit', (code) => (this.#died ??= new Error(`a hashing thread ended with code ${code}`)));
      post(worker, { kind: 'job', job, thread });
      return worker;
    });
  }

  /**
   * One run over the whole tree.
   * @throws HostError `tree-unreadable` where the root can't be opened, `io-failed` where a thread died; the
   * signal's reason where it was aborted
   */
  async run(options: RunOptions): Promise<RunResult> {
    const before = this.#running;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#running = promise;
    await before;
    try {
      return await this.#run(options);
    } finally {
      resolve();
    }
  }

  /** Ends the threads, a run that is under way first: its caller gets an error. */
  async close(): Promise<void> {
    Atomics.store(this.#job.control, CONTROL_STOP, 2);
    Atomics.notify(this.#job.control, CONTROL_STOP);
    await this.#running;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  async #run(options: RunOptions): Promise<RunResult> {
    const { mode, now, signal, onProgress, onFinding } = options;
    const { control, counters, claimed, linked } = this.#job;
    const { work = { kind: 'units' } } = options;
    signal?.throwIfAborted();
    if (Atomics.load(control, CONTROL_STOP) === 2) throw closed();
    if (this.#died !== undefined) throw hostErrorOf('measuring the tree', this.#died);
    const root = openRoot(this.#root);
    Atomics.store(control, CONTROL_NEXT_UNIT, 0);
    Atomics.store(control, CONTROL_WAITS, 0);
    Atomics.store(control, CONTROL_STOP, 0);
    counters.fill(0);
    if (work.kind === 'units' || (work.kind === 'parts' && work.from === 0)) claimed.fill(0);
    linked.state.fill(0);
    const stop = (): void => {
      Atomics.compareExchange(control, CONTROL_STOP, 0, 1);
      Atomics.notify(control, CONTROL_STOP);
    };
    signal?.addEventListener('abort', stop, { once: true });
    const timer =
      onProgress === undefined ? undefined : setInterval(() => onProgress(this.#done()), PROGRESS_MS);
    const ahead = new AbortController();
    if (work.kind === 'units') void readDirectoriesAhead(this.#root, this.#job, ahead.signal);
    try {
      const clockOffset = (now.getTime() - Date.now()) / 1000;
      const run = { mode, root, at: now.toISOString(), clockOffset, share: options.share ?? 1 };
      const answers = await Promise.allSettled(
        this.#workers.map((worker) =>
          ask(worker, { kind: 'run', run, work }, onFinding).catch((thrown: unknown) => {
            stop();
            throw thrown;
          }),
        ),
      );
      signal?.throwIfAborted();
      if (Atomics.load(control, CONTROL_STOP) === 2) throw closed();
      const given = answers.map((answer) => {
        if (answer.status === 'rejected') throw hostErrorOf('measuring the tree', answer.reason);
        return answer.value;
      });
      return { answers: given, ...this.#done() };
    } finally {
      clearInterval(timer);
      ahead.abort();
      signal?.removeEventListener('abort', stop);
      close(root);
    }
  }

  #done(): { files: number; bytes: number } {
    let files = 0;
    let bytes = 0;
    const { counters } = this.#job;
    for (let i = 0; i < counters.length; i += COUNTER_STRIDE) {
      files += counters[i] ?? 0;
      bytes += counters[i + 1] ?? 0;
    }
    return { files, bytes };
  }
}

function closed(): HostError {
  return new HostError('aborted', 'measuring the tree was ended: it is being closed');
}

function post(worker: Worker, message: ToWorker): void {
  worker.postMessage(message);
}

function ask(
  worker: Worker,
  message: ToWorker,
  onFinding: ((finding: Finding) => void) | undefined,
): Promise<MeasureAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<MeasureAnswer>();
  const onMessage = (reply: FromWorker): void => {
    if (reply.kind === 'done') resolve(reply.answer);
    else onFinding?.(reply.finding);
  };
  const onExit = (code: number): void => reject(new Error(`a hashing thread ended with code ${code}`));
  worker.on('message', onMessage).once('error', reject).once('exit', onExit);
  worker.ref();
  post(worker, message);
  return promise.finally(() => {
    worker.off('message', onMessage).off('error', reject).off('exit', onExit);
    worker.unref();
  });
}

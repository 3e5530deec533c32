import { constants } from 'node:fs';
import { once } from 'node:events';

import { HostError, hostErrorOf } from '../host-error.ts';
import { O_CLOEXEC, close, errno, errnoName, eventfd, eventfdWrite } from '../kernel/linux.ts';
import { startWorker } from '../threads/start-worker.ts';
import { WATCH_BEATS, WATCH_STOP, WATCH_WAITING, type WatchJob, type WatchNews } from './watch-loop.ts';

/** A thread that watches the directories of a tree. */
export type DirectoryWatcher = {
  /** Grows at least once a second while the thread lives. */
  beats: () => number;
  /** Rejects where the thread ends by itself. @throws HostError `io-failed` */
  died: Promise<never>;
  close: () => Promise<void>;
};

/** The thread keeps a table of watches and little else. */
const HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };

/**
 * Starts watching. `onNews` is called for each piece of news; the thread goes on reading while what it said is
 * dealt with, up to a bound.
 * @throws HostError `io-failed`
 */
export function watchDirectories(
  options: Omit<WatchJob, 'control' | 'stop'>,
  onNews: (news: WatchNews) => void,
): DirectoryWatcher {
  const stop = eventfd(0, O_CLOEXEC | constants.O_NONBLOCK);
  if (stop < 0) throw new HostError('io-failed', `cannot watch the tree: ${errnoName(errno())}`);
  const control = new Int32Array(new SharedArrayBuffer(12));
  const worker = startWorker('watch-worker', { name: 'sealborn-watch', resourceLimits: HEAP });
  const { promise: died, reject } = Promise.withResolvers<never>();
  died.catch(() => undefined); // whoever wants to know awaits it
  worker.unref();
  worker.on('error', (thrown) => reject(hostErrorOf('watching the tree', thrown)));
  worker.on('exit', (code) =>
    reject(new HostError('io-failed', `the watching thread ended with code ${code}`)),
  );
  worker.on('message', (news: WatchNews) => {
    Atomics.sub(control, WATCH_WAITING, 1);
    Atomics.notify(control, WATCH_WAITING);
    onNews(news);
  });
  const job: WatchJob = { ...options, control, stop };
  worker.postMessage(job);
  const ended = once(worker, 'exit').catch(() => undefined);
  return {
    beats: () => Atomics.load(control, WATCH_BEATS),
    died,
    close: async () => {
      Atomics.store(control, WATCH_STOP, 1);
      Atomics.notify(control, WATCH_WAITING);
      eventfdWrite(stop, 1);
      await ended;
      close(stop);
    },
  };
}

import { parentPort } from 'node:worker_threads';

import { type WatchJob, watchUntilStopped } from '../watch/watch-loop.ts';

// The one thing that is said to it is what to watch; it does so until it is stopped.
parentPort?.once('message', (job: WatchJob) => {
  watchUntilStopped(job, (news) => parentPort?.postMessage(news));
  parentPort?.close();
});

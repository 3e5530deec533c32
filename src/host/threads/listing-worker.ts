import { parentPort } from 'node:worker_threads';

import { inspectListed } from '../listing/inspect-listed.ts';
import type { ListedAnswer, ListedUnit, ListingJob } from '../listing/listing-job.ts';

/** What is said to a thread that checks by a foreign manifest: once the job, then a unit at a time. */
export type ToListingWorker =
  | { kind: 'job'; job: ListingJob; thread: number }
  | { kind: 'unit'; unit: ListedUnit };

let job: ListingJob | undefined;
let thread = 0;

parentPort?.on('message', (message: ToListingWorker) => {
  if (message.kind === 'job') {
    ({ job, thread } = message);
    return;
  }
  if (job === undefined) throw new Error('a unit came before its job');
  const answer: ListedAnswer = inspectListed(job, message.unit, thread);
  parentPort?.postMessage(answer);
});

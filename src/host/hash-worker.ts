import { parentPort } from 'node:worker_threads';

import { inspectTree } from './inspect-tree.ts';
import type { MeasureAnswer, MeasureJob, MeasureRun, Work } from './measure-job.ts';

/** What the pool says to a thread: once the job, then a run at a time. */
export type ToWorker =
  | { kind: 'job'; job: MeasureJob; thread: number }
  | { kind: 'run'; run: MeasureRun; work: Work };

/** What a thread says back. */
export type FromWorker = { kind: 'done'; answer: MeasureAnswer };

let job: MeasureJob | undefined;
let thread = 0;

parentPort?.on('message', (message: ToWorker) => {
  if (message.kind === 'job') {
    ({ job, thread } = message);
    return;
  }
  if (job === undefined) throw new Error('a run came before its job');
  const done: FromWorker = { kind: 'done', answer: inspectTree(job, message.run, message.work, thread) };
  parentPort?.postMessage(done);
});

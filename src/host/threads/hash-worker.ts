import { parentPort } from 'node:worker_threads';

import type { Finding } from '../../base/finding.ts';
import { inspectTree } from '../measure/inspect-tree.ts';
import type { MeasureAnswer, MeasureJob, MeasureRun, Work } from '../measure/measure-job.ts';

/** What is said to a hashing thread: once the job, then a run at a time. */
export type ToWorker =
  | { kind: 'job'; job: MeasureJob; thread: number }
  | { kind: 'run'; run: MeasureRun; work: Work };

/** What a hashing thread says back: its first finding at once, and all when it is done. */
export type FromWorker = { kind: 'found'; finding: Finding } | { kind: 'done'; answer: MeasureAnswer };

let job: MeasureJob | undefined;
let thread = 0;

parentPort?.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'job':
      ({ job, thread } = message);
      break;
    case 'run': {
      if (job === undefined) throw new Error('a run came before its job');
      const onFirst = (finding: Finding): void => say({ kind: 'found', finding });
      say({ kind: 'done', answer: inspectTree(job, message.run, message.work, thread, onFirst) });
      break;
    }
  }
});

function say(message: FromWorker): void {
  parentPort?.postMessage(message);
}

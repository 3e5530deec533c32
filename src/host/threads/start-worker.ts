import { getAsset, isSea } from 'node:sea';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** The entries of threads: `<name>.ts` beside this file, which must be built as a file of its own. */
export type WorkerName = 'hash-worker' | 'listing-worker' | 'seal-worker' | 'watch-worker';

/**
 * Starts a thread of this program. In the source tree and in the npm build its entry is a file beside this one;
 * in the single executable it is inside (node:sea), so that no file beside the program can be it.
 */
export function startWorker(name: WorkerName, options: WorkerOptions): Worker {
  if (isSea()) return new Worker(getAsset(`${name}.js`, 'utf8'), { ...options, eval: true });
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./${name}.${extension}`, import.meta.url), options);
}

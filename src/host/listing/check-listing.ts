import type { Worker } from 'node:worker_threads';

import { type Accounts, needsContent } from '../../manifest/mtree/compare-stated.ts';
import { type DigestName, type Listing, walkListing } from '../../manifest/mtree/listing.ts';
import { readNumbers } from '../account-numbers.ts';
import type { CheckResult } from '../measure/check-tree.ts';
import { FindingList } from '../measure/finding-list.ts';
import { type Progress, workerCount } from '../measure/hash-pool.ts';
import { hostErrorOf } from '../host-error.ts';
import { close } from '../kernel/linux.ts';
import { type ListedAnswer, type ListedUnit, type ListingJob, listedUnits } from './listing-job.ts';
import type { ToListingWorker } from '../threads/listing-worker.ts';
import { openRoot } from '../measure/open-root.ts';
import { shareUnits } from './share-units.ts';
import { startWorker } from '../threads/start-worker.ts';

/** Entries for which one more thread is worth its start. */
const ENTRIES_A_THREAD = 16;

/** How often progress is said, in milliseconds. */
const PROGRESS_MS = 100;

export type CheckListingOptions = {
  root: string;
  listing: Listing;
  /** Digests that this machine can make: `availableDigests`. */
  available: ReadonlySet<DigestName>;
  /** Threads that read and hash; by default one for each processor, at most 8. */
  workers?: number;
  now: Date;
  onProgress?: (progress: Progress) => void;
};

/**
 * Compares a tree with what a foreign manifest states about it: each entry that it lists, and what else stands in
 * the directories that it lists. Everything is opened by descriptor below the root and never through a link, and
 * a file is read once for all digests that are stated of it.
 * @throws HostError `not-found`, `not-a-directory`, `tree-unreadable`; `io-failed` where a thread died
 */
export async function checkListing(options: CheckListingOptions): Promise<CheckResult> {
  const { root, listing, available, now, onProgress } = options;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const accounts = await readAccounts();
  const descriptor = openRoot(root);
  const workers = Math.min(workerCount(options.workers), Math.ceil(listing.entries / ENTRIES_A_THREAD));
  const counters = new Float64Array(new SharedArrayBuffer(workers * 16));
  const job: ListingJob = { root: descriptor, at: now.toISOString(), accounts, counters };
  const threads = Array.from({ length: workers }, (_, thread) => start(job, thread));
  const totals = totalsOf(listing);
  const say = (): void => onProgress?.({ ...done(counters), ...totals, seconds: seconds() });
  const timer = onProgress === undefined ? undefined : setInterval(say, PROGRESS_MS);
  try {
    const list = new FindingList();
    const inspectors = threads.map((thread) => (unit: ListedUnit) => ask(thread, unit));
    await shareUnits(listedUnits(listing, available), inspectors, list);
    say();
    const findings = list.first().map(({ finding }) => finding);
    return { findings, findingsTotal: list.total, ...done(counters), seconds: seconds() };
  } finally {
    clearInterval(timer);
    await Promise.all(threads.map((thread) => thread.terminate()));
    close(descriptor);
  }
}

function start(job: ListingJob, number: number): Worker {
  const worker = startWorker('listing-worker', { name: 'sealborn-listing' });
  worker.postMessage({ kind: 'job', job, thread: number } satisfies ToListingWorker);
  return worker;
}

async function ask(worker: Worker, unit: ListedUnit): Promise<ListedAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ListedAnswer>();
  const onExit = (code: number): void => reject(new Error(`a thread ended with code ${code}`));
  worker.once('message', resolve).once('error', reject).once('exit', onExit);
  worker.postMessage({ kind: 'unit', unit } satisfies ToListingWorker);
  try {
    return await promise;
  } catch (cause) {
    throw hostErrorOf('checking the tree', cause);
  } finally {
    worker.off('message', resolve).off('error', reject).off('exit', onExit);
  }
}

async function readAccounts(): Promise<Accounts> {
  return { users: await readNumbers('/etc/passwd'), groups: await readNumbers('/etc/group') };
}

/** Files that are read and their bytes; nothing where a size is not stated. */
function totalsOf(listing: Listing): { totalFiles?: number; totalBytes?: number } {
  let totalFiles = 0;
  let totalBytes = 0;
  for (const { stated } of walkListing(listing)) {
    if (stated === undefined || !needsContent(stated, { type: 'file', size: stated.size ?? 0 })) continue;
    if (stated.size === undefined) return {};
    totalFiles += 1;
    totalBytes += stated.size;
  }
  return { totalFiles, totalBytes };
}

function done(counters: Float64Array): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  for (let i = 0; i < counters.length; i += 2) {
    files += counters[i] ?? 0;
    bytes += counters[i + 1] ?? 0;
  }
  return { files, bytes };
}

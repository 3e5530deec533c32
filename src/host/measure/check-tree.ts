import { type BytePath, parentPath } from '../../base/byte-path.ts';
import type { Finding } from '../../base/finding.ts';
import type { MeasureRules } from '../../base/measure-rules.ts';
import type { Manifest } from '../../manifest/manifest.ts';
import { type PackedTree, findPath } from '../../manifest/packed-tree.ts';
import { findPresent } from './absent-paths.ts';
import { type BundleDigests, checkBundleArea } from './bundle-area.ts';
import { type DirectoryWatcher, watchDirectories } from '../watch/directory-watcher.ts';
import { FindingList } from './finding-list.ts';
import { HashPool, type Progress, type RunOptions, workerCount } from './hash-pool.ts';
import { HostError } from '../host-error.ts';
import { close } from '../kernel/linux.ts';
import { SCOPE_OPEN, besideJob } from './measure-job.ts';
import { type Scope, isBundleMeasured, scopeBits, scopeOf } from './measure-scope.ts';
import { createMountIdCheck } from '../mounts/mount-ids.ts';
import { checkMutableFiles } from './mutable-files.ts';
import { openRoot } from './open-root.ts';
import { planJob } from './plan-job.ts';
import { type Slice, lookSlices, readSlices } from './plan-slices.ts';
import type { WatchNews } from '../watch/watch-loop.ts';

export type CheckOptions = {
  /** Where the image is mounted on this machine: `/` on an instance. */
  root: string;
  manifest: Manifest;
  rules: MeasureRules;
  /** Digests of the files of the bundle that was verified: only these may stand in its directory. */
  bundleDigests: BundleDigests;
  /** Threads that read and hash; by default one for each processor, at most 8. */
  workers?: number;
  /** Set where a `full` is all that is asked for: then nothing is remembered for a sweep, 28 bytes an entry. */
  once?: boolean;
  now: () => Date;
};

export type CheckResult = {
  /** The first 100 in the order of the manifest. */
  findings: Finding[];
  findingsTotal: number;
  /** Files read, and their bytes; of a sweep, those it read again. */
  files: number;
  bytes: number;
  seconds: number;
};

/** What a whole check says besides: files whose content the kernel vouched for by fs-verity and which it did not read. */
export type WholeResult = CheckResult & { vouched: number };

export type TreeChecker = {
  /**
   * Reads and compares everything, what matters most first; `onFinding` hears of the first finding (of each
   * thread) at once. @throws HostError; the signal's reason
   */
  full(
    onProgress?: (progress: Progress) => void,
    signal?: AbortSignal,
    onFinding?: (finding: Finding) => void,
  ): Promise<WholeResult>;
  /**
   * Looks at the inode of everything, compares what differs from when it was last seen good, and reads again
   * what may have been written. Before the first `full` it is one. @throws HostError; the signal's reason
   */
  sweep(signal?: AbortSignal): Promise<CheckResult>;
  /** The slices of a sweep, for whoever takes them one by one. */
  readonly slices: readonly Slice[];
  /** One slice of a sweep. @throws HostError; the signal's reason */
  sweepSlice(slice: Slice, signal?: AbortSignal): Promise<CheckResult>;
  /** Forgets what was seen good: the next sweep reads everything again. */
  forget(): void;
  /** What is not in the manifest: the bundle's own directory, absent paths, mutable files. @throws HostError */
  besides(): CheckResult;
  /** Reads and compares single entries, given by index in ascending order. @throws HostError; the signal's reason */
  entries(indexes: Uint32Array, signal?: AbortSignal): Promise<CheckResult>;
  /** The slices of a reading of everything past the page cache, for whoever takes them one by one. */
  readonly rehashSlices: readonly Slice[];
  /**
   * One of them, by a thread of its own that takes at most `share` of a core. `direct` of the bytes came with
   * O_DIRECT. @throws HostError; the signal's reason
   */
  rehashSlice(
    slice: Slice,
    share: number,
    onProgress: (done: { bytes: number }) => void,
    signal?: AbortSignal,
  ): Promise<CheckResult & { direct: number }>;
  /** Watches every measured directory by a thread of its own. @throws HostError `io-failed` */
  watch(onNews: (news: WatchNews) => void): DirectoryWatcher;
  /** Ends the threads of `full`, which can't be called again; one thread stays for the rest. */
  endFull(): Promise<void>;
  /** Ends the threads, and a check that is under way with an error. */
  close(): Promise<void>;
};

/**
 * Makes a checker of one tree against one manifest. Its threads start at once and live until `close`.
 * @throws HostError `not-found` where manifest and rules do not belong together
 */
export function createTreeChecker(options: CheckOptions): TreeChecker {
  const { root, manifest, now, bundleDigests } = options;
  const scope = scopeOf(options.rules);
  const mayBeEmpty = root !== '/';
  const workers = workerCount(options.workers);
  const { tree } = manifest;
  const bits = scopeBits(tree, scope, mayBeEmpty);
  const unlisted = scope.absent.filter((path) => !isListed(tree, bits, path));
  const job = planJob(tree, bits, scope, workers, options.once !== true);
  const slices = lookSlices(job);
  const mountIds = createMountIdCheck(root);
  const whole = new HashPool(root, job, workers);
  let isClosed = false;
  const ofOne = (): (() => HashPool) => {
    let pool: HashPool | undefined;
    return () => {
      if (isClosed) throw new HostError('aborted', 'the tree can not be looked at: the checker is closed');
      return (pool ??= beside(new HashPool(root, besideJob(job), 1)));
    };
  };
  const besides: HashPool[] = [];
  const beside = (pool: HashPool): HashPool => {
    besides.push(pool);
    return pool;
  };
  // A machine shares its processors with what the image is for: looking for drift takes one thread, and reading
  // everything again another, so that a slow disk keeps no look waiting.
  const looking = ofOne();
  const rereading = ofOne();

  const run = async (
    pool: () => HashPool,
    options: Omit<RunOptions, 'now'>,
    withBeside: boolean,
  ): Promise<CheckResult & { vouched: number; direct: number }> => {
    const started = performance.now();
    const time = now();
    const checkMounts = mountIds.begin();
    const { answers, files, bytes } = await pool().run({ ...options, now: time });
    const list = new FindingList();
    for (const { findings, total, mounts } of answers) {
      list.merge(findings, total);
      for (const { path, found } of checkMounts(mounts, time.toISOString())) list.add(path, found);
    }
    if (withBeside) findBeside(time, list);
    const direct = answers.reduce((sum, answer) => sum + answer.direct, 0);
    const vouched = answers.reduce((sum, answer) => sum + answer.vouched, 0);
    return { ...resultOf(list, files, bytes, started), vouched, direct };
  };
  const findBeside = (time: Date, findings: FindingList): void =>
    checkBeside(root, scope, unlisted, bundleDigests, mayBeEmpty, time.toISOString(), findings);
  return {
    full: async (onProgress, signal, onFinding) => {
      const started = performance.now();
      const say = (done: { files: number; bytes: number }): void => {
        const seconds = (performance.now() - started) / 1000;
        onProgress?.({ ...done, totalFiles: manifest.files, totalBytes: manifest.bytes, seconds });
      };
      const heard = onProgress === undefined ? undefined : say;
      const result = await run(() => whole, { mode: 'full', onProgress: heard, onFinding, signal }, true);
      say(result);
      return result;
    },
    sweep: (signal) => run(looking, { mode: 'sweep', signal }, true),
    slices,
    sweepSlice: ({ from, to }, signal) =>
      run(looking, { mode: 'sweep', work: { kind: 'parts', from, to }, signal }, false),
    forget: () => void job.good.fill(0),
    besides: () => {
      const started = performance.now();
      const findings = new FindingList();
      findBeside(now(), findings);
      return resultOf(findings, 0, 0, started);
    },
    entries: (entries, signal) =>
      run(looking, { mode: 'full', work: { kind: 'entries', entries }, signal }, false),
    rehashSlices: readSlices(job),
    rehashSlice: ({ from, to }, share, onProgress, signal) =>
      run(rereading, { mode: 'rehash', work: { kind: 'parts', from, to }, share, onProgress, signal }, false),
    watch: (onNews) => {
      const bundle = isBundleMeasured(scope) ? findPath(tree, scope.bundle) : -1;
      return watchDirectories({ root, tree, scope: bits, bundle }, onNews);
    },
    endFull: () => whole.close(),
    close: async () => {
      isClosed = true;
      await Promise.all([whole, ...besides].map((pool) => pool.close()));
    },
  };
}

function resultOf(list: FindingList, files: number, bytes: number, started: number): CheckResult {
  const findings = list.first().map(({ finding }) => finding);
  const seconds = (performance.now() - started) / 1000;
  return { findings, findingsTotal: list.total, files, bytes, seconds };
}

/** What is not in the manifest: the bundle's own directory, mutable files, and absent paths that nothing else lists. */
function checkBeside(
  root: string,
  scope: Scope,
  unlisted: readonly BytePath[],
  digests: BundleDigests,
  mayBeEmpty: boolean,
  at: string,
  findings: FindingList,
): void {
  const descriptor = openRoot(root);
  try {
    for (const [path, found] of findPresent(descriptor, unlisted, at)) findings.add(path, found);
    for (const [path, found] of checkMutableFiles(descriptor, scope.files, at)) findings.add(path, found);
    if (!isBundleMeasured(scope)) return;
    for (const found of checkBundleArea(descriptor, scope.bundle, digests, mayBeEmpty, at)) {
      findings.add(scope.bundle, found);
    }
  } finally {
    close(descriptor);
  }
}

/** Whether a listing finds the path: it is not in the tree, and its directory is listed as a closed world. */
function isListed(tree: PackedTree, bits: Uint8Array, path: BytePath): boolean {
  const directory = findPath(tree, parentPath(path));
  return findPath(tree, path) < 0 && directory >= 0 && ((bits[directory] ?? 0) & SCOPE_OPEN) === 0;
}

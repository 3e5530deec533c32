import { type BytePath, parentPath } from '../base/byte-path.ts';
import type { Finding } from '../base/finding.ts';
import type { MeasureRules } from '../base/measure-rules.ts';
import type { Manifest } from '../manifest/manifest.ts';
import { type PackedTree, findPath } from '../manifest/packed-tree.ts';
import { findPresent } from './absent-paths.ts';
import { type BundleDigests, checkBundleArea } from './bundle-area.ts';
import { FindingList } from './finding-list.ts';
import { HashPool, type Progress, workerCount } from './hash-pool.ts';
import { close } from './linux.ts';
import { type MeasureMode, SCOPE_OPEN, planJob } from './measure-job.ts';
import { type Scope, isBundleMeasured, scopeBits, scopeOf } from './measure-scope.ts';
import { openRoot } from './open-root.ts';

export type CheckOptions = {
  /** Where the image is mounted on this machine: `/` on an instance. */
  root: string;
  manifest: Manifest;
  rules: MeasureRules;
  /** Digests of the files of the bundle that was verified: only these may stand in its directory. */
  bundleDigests: BundleDigests;
  /** Threads that read and hash; by default one for each processor, at most 8. */
  workers?: number;
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

export type TreeChecker = {
  /** Reads and compares everything. @throws HostError; the signal's reason */
  full(onProgress?: (progress: Progress) => void, signal?: AbortSignal): Promise<CheckResult>;
  /**
   * Looks at the inode of everything, compares what differs from when it was last seen good, and reads again
   * what may have been written. Before the first `full` it is one. @throws HostError; the signal's reason
   */
  sweep(signal?: AbortSignal): Promise<CheckResult>;
  /** Ends the threads, and a check that is under way with an error. */
  close(): Promise<void>;
};

/**
 * Makes a checker of one tree against one manifest. Its threads start at once and live until `close`.
 * @throws HostError `not-found` where manifest and rules do not belong together
 */
export function createTreeChecker(options: CheckOptions): TreeChecker {
  const { root, manifest, now } = options;
  const scope = scopeOf(options.rules);
  const mayBeEmpty = root !== '/';
  const workers = workerCount(options.workers);
  const { tree } = manifest;
  const bits = scopeBits(tree, scope, mayBeEmpty);
  const unlisted = scope.absent.filter((path) => !isListed(tree, bits, path));
  const pool = new HashPool(root, planJob(tree, bits, scope.absent, workers), workers);

  const check = async (
    mode: MeasureMode,
    onProgress: ((progress: Progress) => void) | undefined,
    signal: AbortSignal | undefined,
  ): Promise<CheckResult> => {
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    const time = now();
    const say = (done: { files: number; bytes: number }): void =>
      onProgress?.({ ...done, totalFiles: manifest.files, totalBytes: manifest.bytes, seconds: seconds() });
    const { answers, files, bytes } = await pool.run({
      mode,
      now: time,
      // A sweep shares the machine with what the image is for.
      ...(mode === 'sweep' ? { threads: 1 } : {}),
      onProgress: onProgress === undefined ? undefined : say,
      signal,
    });
    const findings = new FindingList();
    for (const { findings: placed, total } of answers) findings.merge(placed, total);
    checkBeside(root, scope, unlisted, options.bundleDigests, mayBeEmpty, time.toISOString(), findings);
    say({ files, bytes });
    return {
      findings: findings.first().map(({ finding }) => finding),
      findingsTotal: findings.total,
      files,
      bytes,
      seconds: seconds(),
    };
  };
  return {
    full: (onProgress, signal) => check('full', onProgress, signal),
    sweep: (signal) => check('sweep', undefined, signal),
    close: () => pool.close(),
  };
}

/** What is not in the manifest: the bundle's own directory, and absent paths where nothing else is listed. */
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

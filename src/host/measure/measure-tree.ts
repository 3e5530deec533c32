import type { MeasureRules } from '../../base/measure-rules.ts';
import type { Entry } from '../../manifest/entry.ts';
import { type PackedTree, entryAt, sumFiles } from '../../manifest/packed-tree.ts';
import { unpackXattrs } from '../../manifest/xattr-blob.ts';
import { requireAbsent } from './absent-paths.ts';
import { type PlacedFinding } from './finding-list.ts';
import { HashPool, type Progress, workerCount } from './hash-pool.ts';
import { HostError } from '../host-error.ts';
import { E2BIG, close, errnoName } from '../kernel/linux.ts';
import type { MeasureAnswer } from './measure-job.ts';
import { type Scope, scopeBits, scopeOf } from './measure-scope.ts';
import { openRoot } from './open-root.ts';
import { planJob } from './plan-job.ts';
import { walkTree } from './walk-tree.ts';

export type { Progress } from './hash-pool.ts';

export type MeasureOptions = {
  /** Where the image's tree is mounted. */
  root: string;
  rules: MeasureRules;
  /** Threads that read and hash; by default one for each processor, at most 8. */
  workers?: number;
  /** Heard at most ten times a second; the totals are known once the tree has been listed. */
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
};

export type MeasuredTree = {
  /** In the order of the manifest. */
  entries: Entry[];
  files: number;
  bytes: number;
  seconds: number;
};

/** How often progress is said, in milliseconds. */
const PROGRESS_MS = 100;

/**
 * Measures a tree for its manifest: lists it, then reads every file once and, while at it, checks that nothing
 * changed since it was listed. What is listed: see `measure-scope.ts`.
 * @throws HostError `tree-unreadable` where anything can't be read, `tree-changed` where something moved
 * meanwhile, `absent-path-exists`, `not-found` and `not-a-directory` where the rules do not fit the tree; the
 * signal's reason
 */
export async function measureTree(options: MeasureOptions): Promise<MeasuredTree> {
  const { root, rules, signal, onProgress } = options;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const scope = scopeOf(rules);
  const tree = await list(root, scope, signal, (listed) =>
    onProgress?.({ files: 0, bytes: 0, listed, seconds: seconds() }),
  );
  const totals = sumFiles(tree);
  if (rules.fsVerity) tree.verity = new Uint8Array(new SharedArrayBuffer(tree.count * 32));
  const workers = workerCount(options.workers);
  const pool = new HashPool(
    root,
    planJob(tree, scopeBits(tree, scope, true), scope, workers, false),
    workers,
  );
  try {
    const say = (done: { files: number; bytes: number }): void =>
      onProgress?.({ ...done, totalFiles: totals.files, totalBytes: totals.bytes, seconds: seconds() });
    const { answers } = await pool.run({
      mode: 'measure',
      now: new Date(),
      onProgress: onProgress === undefined ? undefined : say,
      signal,
    });
    requireClean(answers);
    say(totals);
    return { entries: entriesOf(tree, answers), ...totals, seconds: seconds() };
  } finally {
    await pool.close();
  }
}

async function list(
  root: string,
  scope: Scope,
  signal: AbortSignal | undefined,
  onTurn: (entries: number) => void,
): Promise<PackedTree> {
  signal?.throwIfAborted();
  const descriptor = openRoot(root);
  let said = performance.now();
  try {
    requireAbsent(descriptor, scope.absent);
    return await walkTree(
      descriptor,
      scope,
      (entries) => {
        if (performance.now() - said < PROGRESS_MS) return;
        said = performance.now();
        onTurn(entries);
      },
      signal,
    );
  } finally {
    close(descriptor);
  }
}

function requireClean(answers: readonly MeasureAnswer[]): void {
  const placed: PlacedFinding[] = answers.flatMap(({ findings }) => findings);
  const total = answers.reduce((count, answer) => count + answer.total, 0);
  const first = placed.sort((a, b) => (a.key < b.key ? -1 : 1))[0]?.finding;
  if (first === undefined) return;
  const more = total > 1 ? ` (and ${total - 1} more like it)` : '';
  if (first.kind === 'unreadable') {
    throw new HostError('tree-unreadable', `cannot read "${first.path}": ${first.actual}${more}`, {
      hint:
        first.actual === errnoName(E2BIG)
          ? 'It has more than 512 KiB of extended attributes: getfattr(1) shows them.'
          : 'A file that was not read can not be in a manifest. Measure as a user who may read all of the image.',
    });
  }
  throw new HostError(
    'tree-changed',
    `"${first.path}" changed while the tree was measured (${first.kind}: ${first.actual})${more}`,
    { hint: 'Measure a tree that nothing writes to, or declare as mutable what must be written.' },
  );
}

function entriesOf(tree: PackedTree, answers: readonly MeasureAnswer[]): Entry[] {
  const attributes = new Map(
    answers.flatMap(({ xattrs }) => xattrs.map(({ index, bytes }) => [index, unpackXattrs(bytes)])),
  );
  return Array.from({ length: tree.count }, (_, index) => {
    const entry = entryAt(tree, index);
    const found = attributes.get(index);
    return found === undefined ? entry : { ...entry, xattrs: found };
  });
}

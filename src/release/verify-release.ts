import type { Finding } from '../base/finding.ts';
import { type BoundsFound, scanBounds } from '../host/measure/bounds-scan.ts';
import { type WholeResult, createTreeChecker } from '../host/measure/check-tree.ts';
import { MAX_FINDINGS } from '../host/measure/finding-list.ts';
import { type LoadedRelease, type ReleasePlace, loadRelease } from '../host/load-release.ts';
import type { Progress } from '../host/measure/measure-tree.ts';
import { createMountWatch } from '../host/mounts/mount-watch.ts';
import { releaseMemory } from '../host/kernel/release-memory.ts';

export type VerifyOptions = {
  place: ReleasePlace;
  /** Where the image is mounted; without it only the bundle is verified. */
  root?: string;
  workers?: number;
  now: () => Date;
  onProgress?: (progress: Progress) => void;
};

/** Memory is given back this often: what it costs, some ten milliseconds of an idle thread, is nothing beside it. */
const RELEASE_SECONDS = 1;

/** What `verifyRelease` found; `check` is there where a root was given. */
export type Verified = { loaded: LoadedRelease; check: WholeResult | undefined };

/**
 * Verifies a bundle against a trust set and, with a root, every file of the image against its manifest and what
 * is mounted and what lies in mutable areas against its rules. Drift is a result, not an error.
 * @throws BundleError, ManifestError, PolicyError, HostError where the bundle is refused or can't be read
 */
export async function verifyRelease(options: VerifyOptions): Promise<Verified> {
  const loaded = await loadRelease(options.place);
  if (options.root === undefined) return { loaded, check: undefined };
  const { root } = options;
  const rules = loaded.verified.predicate.measure;
  // What loading left behind would lie beside the threads' memory: 15 MB of 125,000 files.
  await releaseMemory();
  const look = createMountWatch({ root, rules, isRunning: root === '/' });
  const checker = createTreeChecker({
    root,
    manifest: loaded.manifest,
    rules,
    bundleDigests: loaded.verified.digests,
    once: true,
    now: options.now,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
  });
  try {
    const at = (): string => options.now().toISOString();
    const before = look(at());
    const check = await checker.full(releasingMeanwhile(options.onProgress));
    const beyond = before && (await scanBounds({ root, plan: before.plan, at: at() }));
    const mounts = [...(before?.findings ?? []), ...(look(at())?.findings ?? [])];
    return { loaded, check: withFindings(check, mounts, beyond) };
  } finally {
    await checker.close();
  }
}

/**
 * Hands progress on, and gives memory back on the way: at first what starting the threads took, then what reading
 * ahead leaves behind. Without it, 125,000 files take 10 MB more.
 */
function releasingMeanwhile(
  onProgress: VerifyOptions['onProgress'],
): NonNullable<VerifyOptions['onProgress']> {
  let next = 0;
  return (progress) => {
    if (progress.files > 0 && progress.seconds >= next) {
      void releaseMemory();
      next = progress.seconds + RELEASE_SECONDS;
    }
    onProgress?.(progress);
  };
}

/** The mounts' findings come first: they say what the files were read through. */
function withFindings(
  check: WholeResult,
  looked: readonly Finding[],
  beyond: BoundsFound | undefined,
): WholeResult {
  const mounts = [...new Map(looked.map((found) => [`${found.kind} ${found.path}`, found])).values()];
  const findings = [...mounts, ...(beyond?.findings ?? []), ...check.findings].slice(0, MAX_FINDINGS);
  return {
    ...check,
    findings,
    findingsTotal: mounts.length + (beyond?.findingsTotal ?? 0) + check.findingsTotal,
  };
}

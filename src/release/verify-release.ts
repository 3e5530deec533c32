import type { CheckResult } from '../host/check-tree.ts';
import { createTreeChecker } from '../host/check-tree.ts';
import { type LoadedRelease, type ReleasePlace, loadRelease } from '../host/load-release.ts';
import type { Progress } from '../host/measure-tree.ts';

export type VerifyOptions = {
  place: ReleasePlace;
  /** Where the image is mounted; without it only the bundle is verified. */
  root?: string;
  workers?: number;
  now: () => Date;
  onProgress?: (progress: Progress) => void;
};

/** What `verifyRelease` found; `check` is there where a root was given. */
export type Verified = { loaded: LoadedRelease; check: CheckResult | undefined };

/**
 * Verifies a bundle against a trust set and, with a root, every file of the image against its manifest. Drift
 * is a result, not an error.
 * @throws BundleError, ManifestError, PolicyError, HostError where the bundle is refused or can't be read
 */
export async function verifyRelease(options: VerifyOptions): Promise<Verified> {
  const loaded = await loadRelease(options.place);
  if (options.root === undefined) return { loaded, check: undefined };
  const checker = createTreeChecker({
    root: options.root,
    manifest: loaded.manifest,
    rules: loaded.verified.predicate.measure,
    bundleDigests: loaded.verified.digests,
    now: options.now,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
  });
  try {
    return { loaded, check: await checker.full(options.onProgress) };
  } finally {
    await checker.close();
  }
}

import { type Sha256, sha256 } from '../base/digest.ts';
import { checkListing } from '../host/listing/check-listing.ts';
import type { CheckResult } from '../host/measure/check-tree.ts';
import { availableDigests } from '../host/listing/content-digests.ts';
import { readFileBounded } from '../host/files.ts';
import type { Progress } from '../host/measure/measure-tree.ts';
import { MAX_MANIFEST_BYTES } from '../manifest/limits.ts';
import { type Coverage, coverageOf } from '../manifest/mtree/coverage.ts';
import { readMtree } from '../manifest/mtree/read-mtree.ts';

export type VerifyMtreeOptions = {
  /** The manifest: mtree(5) as other programs write it. */
  manifest: string;
  /** Where the tree is mounted. */
  root: string;
  workers?: number;
  now: Date;
  onProgress?: (progress: Progress) => void;
};

/** What `verifyMtree` found. Nobody signed the manifest: agreement with it is all that this shows. */
export type VerifiedMtree = {
  manifest: { path: string; sha256: Sha256; entries: number; patternLike: number };
  coverage: Coverage;
  check: CheckResult;
};

/**
 * Compares a tree with a manifest that another program wrote. Drift is a result, not an error.
 * @throws ManifestError, HostError where the manifest is refused or the tree can't be read
 */
export async function verifyMtree(options: VerifyMtreeOptions): Promise<VerifiedMtree> {
  const bytes = await readFileBounded(options.manifest, MAX_MANIFEST_BYTES, { follow: true });
  const listing = readMtree(bytes);
  const available = availableDigests();
  const check = await checkListing({
    root: options.root,
    listing,
    available,
    now: options.now,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  const { entries, patternLike } = listing;
  return {
    manifest: { path: options.manifest, sha256: sha256(bytes), entries, patternLike },
    coverage: coverageOf(listing, available),
    check,
  };
}

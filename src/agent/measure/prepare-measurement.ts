import type { RehashRule } from '../../base/measure-rules.ts';
import type { ReleaseId } from '../../base/release-id.ts';
import { type TreeChecker, createTreeChecker } from '../../host/measure/check-tree.ts';
import { loadRelease } from '../../host/load-release.ts';
import type { Log } from '../../host/log/log.ts';
import { createMountWatch } from '../../host/mounts/mount-watch.ts';
import { readTrustPin } from '../../host/trust-pin.ts';
import type { Manifest } from '../../manifest/manifest.ts';
import { createBoundsTier } from './bounds-tier.ts';
import { type MountTier, createMountTier } from './mount-tier.ts';
import { createRehashTier } from './rehash-tier.ts';
import { type ReleaseWatch, createReleaseWatch } from './release-watch.ts';
import type { AgentSettings } from '../settings.ts';
import { createSweepTier } from './sweep-tier.ts';
import type { Tier } from './tier.ts';
import { createWatchTier } from './watch-tier.ts';

/** What making ready to measure takes from outside. */
export type PreparationDependencies = {
  log: Log;
  now: () => Date;
  /** Where the pin of trust.yaml is looked for besides the kernel command line. */
  environment: NodeJS.ProcessEnv;
  /** What checks the tree; given by tests that need a fault. */
  createChecker?: typeof createTreeChecker;
};

/** A verified release, and all that measures by it. */
export type Prepared = {
  release: ReleaseId;
  /** What of the manifest is still needed once the checker has its tree. */
  manifest: Pick<Manifest, 'fsVerity'>;
  checker: TreeChecker;
  watchRelease: ReleaseWatch;
  mounts: MountTier;
  rehash: RehashRule;
};

/**
 * Verifies the release and makes ready to measure.
 * @throws BundleError, ManifestError, PolicyError, HostError: each is a refusal
 */
export async function prepareMeasurement(
  settings: AgentSettings,
  deps: PreparationDependencies,
): Promise<Prepared> {
  const pin = await readTrustPin(deps.environment);
  const loaded = await loadRelease({ ...settings, ...(pin === undefined ? {} : { pin }) });
  const { verified, manifest } = loaded;
  const rules = verified.predicate.measure;
  const mountWatch = createMountWatch({ root: settings.root, rules, isRunning: true });
  const mounts = createMountTier(mountWatch, deps.log, deps.now);
  const watchRelease = await createReleaseWatch(settings, loaded);
  const checker = (deps.createChecker ?? createTreeChecker)({
    root: settings.root,
    manifest,
    rules,
    bundleDigests: verified.digests,
    now: deps.now,
    ...(settings.workers === undefined ? {} : { workers: settings.workers }),
  });
  const { fsVerity } = manifest;
  return {
    release: verified.release,
    manifest: { fsVerity },
    checker,
    watchRelease,
    mounts,
    rehash: rules.rehash,
  };
}

/** The tiers that look for drift in the files after the first check; the one of mounts runs from the start. */
export function driftTiers(
  { checker, watchRelease, mounts, rehash }: Prepared,
  { root, sweepSeconds }: AgentSettings,
  { log, now }: PreparationDependencies,
): Tier[] {
  const sweep = createSweepTier({ checker, watchRelease, everySeconds: sweepSeconds, log, now });
  return [
    createWatchTier({ checker, sweep, log }),
    sweep,
    createBoundsTier({ root, plan: mounts.plan, everySeconds: sweepSeconds, now }),
    createRehashTier({ checker, rule: rehash, now }),
  ];
}

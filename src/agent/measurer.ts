import { rm } from 'node:fs/promises';

import type { Verdict } from '../attestation/verdict.ts';
import type { Finding } from '../base/finding.ts';
import type { RehashRule } from '../base/measure-rules.ts';
import type { ReleaseId } from '../base/release-id.ts';
import { type BoundsFound, scanBounds } from '../host/bounds-scan.ts';
import { type TreeChecker, createTreeChecker } from '../host/check-tree.ts';
import { readBootId } from '../host/boot-id.ts';
import { makeDirectory } from '../host/files.ts';
import { readImaList } from '../host/ima-list.ts';
import { loadRelease } from '../host/load-release.ts';
import type { Log } from '../host/log.ts';
import { createMountWatch } from '../host/mount-watch.ts';
import { releaseMemory } from '../host/release-memory.ts';
import type { ServiceNotifier } from '../host/service-notifier.ts';
import { openTpm } from '../host/tpm.ts';
import { readTrustPin } from '../host/trust-pin.ts';
import type { Manifest } from '../manifest/manifest.ts';
import { createBoundsTier } from './bounds-tier.ts';
import { latchPath, readLatch, writeLatch } from './latch.ts';
import { type MountTier, createMountTier } from './mount-tier.ts';
import { createProgressTeller } from './progress-teller.ts';
import { reasonOf } from './reason.ts';
import { createRehashTier } from './rehash-tier.ts';
import { type ReleaseWatch, createReleaseWatch } from './release-watch.ts';
import { runTiers } from './run-tiers.ts';
import type { AgentSettings } from './settings.ts';
import { startState } from './state.ts';
import { createSweepTier } from './sweep-tier.ts';
import { type TpmRecorder, createTpmRecorder } from './tpm-log.ts';
import { type VerdictKeeper, createVerdictKeeper } from './verdict-keeper.ts';
import { publishVerdict } from './verdict-publisher.ts';
import { createWatchTier } from './watch-tier.ts';

/** What the measuring half is given from outside. */
export type MeasurerDependencies = {
  log: Log;
  notify: ServiceNotifier;
  now: () => Date;
  /** Where the pin of trust.yaml is looked for besides the kernel command line. */
  environment: NodeJS.ProcessEnv;
  /** What checks the tree; given by tests that need a fault. */
  createChecker?: typeof createTreeChecker;
};

export type Measurer = {
  verdict: () => Verdict;
  /** Resolves when the first verdict that is more than "measuring" stands. */
  settled: Promise<void>;
  /** Rejects if the measuring half itself fails; it then says nothing more, which nobody trusts. */
  ended: Promise<void>;
  /** Whether a tier gave a sign of life of late, or there is nothing left to measure. */
  isWell: () => boolean;
  close: () => Promise<void>;
};

/** The tier of mounts looks each second; when no tier says anything for this long, none makes progress. */
const MAX_LIFELESS_MS = 30_000;

/**
 * Starts the measuring half: it verifies the release, reads every file, and then looks for drift by tiers
 * (`tier.ts`) until it is closed. It owns the verdict and says it on verdict.sock, from the first moment on.
 * @throws HostError where verdict.sock can't be had or the boot id can't be read; all else is a verdict
 */
export async function startMeasurer(settings: AgentSettings, deps: MeasurerDependencies): Promise<Measurer> {
  const { log, notify } = deps;
  const bootId = await readBootId();
  await makeDirectory(settings.runDirectory, 0o755);
  const first = startState(deps.now().toISOString());
  const publisher = await publishVerdict(settings.runDirectory, first.verdict);
  const recorder = settings.tpm && recordInTpm(settings, settings.tpm, bootId, log);
  const keeper = createVerdictKeeper({
    first,
    log,
    notify,
    publish: (verdict) => {
      publisher.publish(verdict);
      // Afterwards: a slow TPM must not keep a verdict back.
      recorder?.record(verdict, at(deps));
    },
    latch: (verdict) => writeLatch(settings.runDirectory, bootId, verdict),
  });
  const stop = new AbortController();
  const settled = Promise.withResolvers<void>();
  let aliveAt: number | undefined = performance.now();
  const onAlive = (): void => void (aliveAt = performance.now());
  const run = async (): Promise<void> => {
    try {
      await measure({ settings, deps, keeper, bootId, stop: stop.signal, settled: settled.resolve, onAlive });
      aliveAt = undefined;
    } catch (thrown) {
      await publisher.close();
      throw thrown;
    } finally {
      settled.resolve();
    }
  };
  const ended = run();
  return {
    verdict: keeper.verdict,
    settled: settled.promise.then(() => notify('READY=1')),
    ended,
    isWell: () => aliveAt === undefined || performance.now() - aliveAt < MAX_LIFELESS_MS,
    close: async () => {
      stop.abort();
      await Promise.allSettled([ended]);
      await recorder?.settled();
      await publisher.close();
    },
  };
}

function recordInTpm(
  { runDirectory }: AgentSettings,
  { tcti, pcr }: NonNullable<AgentSettings['tpm']>,
  bootId: string,
  log: Log,
): TpmRecorder {
  const onLeftover = (message: string): void => log.warn({ code: 'tpm-leftover' }, message);
  const tpm = openTpm({ tcti, directory: runDirectory, onLeftover });
  return createTpmRecorder({ tpm, pcr, runDirectory, bootId, log });
}

type Context = {
  settings: AgentSettings;
  deps: MeasurerDependencies;
  keeper: VerdictKeeper;
  bootId: string;
  stop: AbortSignal;
  settled: () => void;
  onAlive: () => void;
};

async function measure(context: Context): Promise<void> {
  const { settings, deps, keeper, stop, onAlive } = context;
  const { log, now } = deps;
  if (await standsUnderLatch(context)) return;
  const prepared = await prepare(context);
  if (prepared === undefined) return;
  const { release, checker, watchRelease, mounts } = prepared;
  const surroundings = { keeper, log, at: () => at(deps), onAlive };
  const looking = new AbortController();
  let looks: Promise<void> | undefined;
  try {
    await keeper.apply({ type: 'verified', at: at(deps), release });
    // From the first moment on, so that what the files are read through is known and stays.
    looks = runTiers([mounts], surroundings, AbortSignal.any([stop, looking.signal]));
    await checkWhole(context, prepared);
    context.settled();
    await checker.endFull();
    await releaseMemory(log);
    const { sweepSeconds } = settings;
    const sweep = createSweepTier({ checker, watchRelease, everySeconds: sweepSeconds, log, now });
    const watch = createWatchTier({ checker, sweep, log });
    const { root } = settings;
    const bounds = createBoundsTier({ root, plan: mounts.plan, everySeconds: sweepSeconds, now });
    const rehash = createRehashTier({ checker, rule: prepared.rehash, now });
    if (!stop.aborted) await runTiers([watch, sweep, bounds, rehash], surroundings, stop);
  } finally {
    looking.abort();
    await looks;
    if (!stop.aborted) log.error({ code: 'tiers-ended' }, 'nothing is checked any more');
    await checker.close();
  }
}

type Prepared = {
  release: ReleaseId;
  /** What of the manifest is still needed once the checker has its tree. */
  manifest: Pick<Manifest, 'fsVerity'>;
  checker: TreeChecker;
  watchRelease: ReleaseWatch;
  mounts: MountTier;
  rehash: RehashRule;
};

/** Verifies the release and makes ready to measure. Whatever goes wrong is a refusal; then there is nothing. */
async function prepare({ settings, deps, keeper }: Context): Promise<Prepared | undefined> {
  try {
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
  } catch (thrown) {
    await keeper.apply({ type: 'refused', at: at(deps), reason: reasonOf(thrown) });
    return undefined;
  }
}

async function standsUnderLatch({ settings, deps, keeper, bootId }: Context): Promise<boolean> {
  const { runDirectory } = settings;
  const latch = await readLatch(runDirectory, bootId, at(deps));
  switch (latch.kind) {
    case 'none':
      return false;
    case 'other-boot':
      deps.log.info(
        { code: 'latch-void', path: latchPath(runDirectory) },
        'removing the latch of an earlier boot',
      );
      await rm(latchPath(runDirectory), { force: true });
      return false;
    case 'latched':
      await keeper.apply({ type: 'latched', verdict: latch.verdict });
      return true;
  }
}

/** The first check, which reads everything. */
async function checkWhole(
  { settings, deps, keeper, stop }: Context,
  { manifest, checker, watchRelease, mounts }: Prepared,
): Promise<void> {
  try {
    const tell = createProgressTeller(deps.log, deps.notify, () => keeper.verdict().state);
    // The first finding settles it: nobody waits for the rest of the image to hear that it is not as signed.
    let told: Promise<void> = Promise.resolve();
    const onFinding = (found: Finding): void => {
      const first = { type: 'checked', at: at(deps), findings: [found], findingsTotal: 1 } as const;
      told = told.then(() => (stop.aborted ? undefined : keeper.apply(first)));
    };
    const whole = await checker.full(tell, stop, onFinding);
    const { files, bytes, seconds, findings, findingsTotal, vouched } = whole;
    await told;
    const beyond = await lookIntoMutable(settings.root, mounts, at(deps), stop);
    // The mounts once more, so that no check ends well over what was mounted in its last second.
    const others = [...(await watchRelease(at(deps))), ...mounts.look(at(deps))];
    if (stop.aborted) return;
    const { fsVerity: recorded } = manifest;
    const ima = readImaList(at(deps));
    const coverage = {
      ...(recorded > 0 ? { fsVerity: { recorded, vouched } } : {}),
      ...(ima === undefined ? {} : { ima }),
    };
    if (Object.keys(coverage).length > 0) await keeper.apply({ type: 'covered', coverage });
    await keeper.apply({
      type: 'checked',
      at: at(deps),
      findings: [...others, ...beyond.findings, ...findings],
      findingsTotal: others.length + beyond.findingsTotal + findingsTotal,
      measured: { files, bytes, seconds },
    });
  } catch (thrown) {
    if (stop.aborted) return;
    const reason = reasonOf(thrown);
    deps.log.error({ code: 'check-failed', reason }, reason.message);
    await keeper.apply({ type: 'failed', at: at(deps), reason });
  }
}

async function lookIntoMutable(
  root: string,
  mounts: MountTier,
  time: string,
  signal: AbortSignal,
): Promise<Pick<BoundsFound, 'findings' | 'findingsTotal'>> {
  const plan = mounts.plan();
  // Without a plan the mount tables could not be read, which is a failed check of its own.
  return plan === undefined
    ? { findings: [], findingsTotal: 0 }
    : scanBounds({ root, plan, at: time, signal });
}

function at({ now }: MeasurerDependencies): string {
  return now().toISOString();
}

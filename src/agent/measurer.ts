import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Verdict } from '../attestation/verdict.ts';
import { messageOf } from '../base/errors.ts';
import type { ReleaseId } from '../base/release-id.ts';
import { type CheckResult, type TreeChecker, createTreeChecker } from '../host/check-tree.ts';
import { readBootId } from '../host/boot-id.ts';
import { makeDirectory } from '../host/files.ts';
import { HostError } from '../host/host-error.ts';
import { loadRelease } from '../host/load-release.ts';
import type { Log } from '../host/log.ts';
import type { ServiceNotifier } from '../host/service-notifier.ts';
import { readTrustPin } from '../host/trust-pin.ts';
import { latchPath, readLatch, writeLatch } from './latch.ts';
import { createProgressTeller } from './progress-teller.ts';
import { reasonOf } from './reason.ts';
import { type ReleaseWatch, createReleaseWatch } from './release-watch.ts';
import type { AgentSettings } from './settings.ts';
import { startState } from './state.ts';
import { type VerdictKeeper, createVerdictKeeper } from './verdict-keeper.ts';
import { publishVerdict } from './verdict-publisher.ts';

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
  close: () => Promise<void>;
};

/**
 * A sweep that has not come back after this long is taken for a disk that does not answer: what can't be
 * checked is not trusted. A sweep of 500,000 files takes seconds.
 */
const MAX_SWEEP_MS = 15 * 60_000;

/**
 * Starts the measuring half: it verifies the release, reads every file, and then sweeps for drift until it is
 * closed. It owns the verdict and says it on verdict.sock, from the first moment on.
 * @throws HostError where verdict.sock can't be had or the boot id can't be read; all else is a verdict
 */
export async function startMeasurer(settings: AgentSettings, deps: MeasurerDependencies): Promise<Measurer> {
  const { log, notify } = deps;
  const bootId = await readBootId();
  await makeDirectory(settings.runDirectory, 0o755);
  const first = startState(deps.now().toISOString());
  const publisher = await publishVerdict(settings.runDirectory, first.verdict);
  const keeper = createVerdictKeeper({
    first,
    log,
    notify,
    publish: publisher.publish,
    latch: (verdict) => writeLatch(settings.runDirectory, bootId, verdict),
  });
  const stop = new AbortController();
  const settled = Promise.withResolvers<void>();
  const run = async (): Promise<void> => {
    try {
      await measure({ settings, deps, keeper, bootId, stop: stop.signal, settled: settled.resolve });
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
    close: async () => {
      stop.abort();
      await Promise.allSettled([ended]);
      await publisher.close();
    },
  };
}

type Context = {
  settings: AgentSettings;
  deps: MeasurerDependencies;
  keeper: VerdictKeeper;
  bootId: string;
  stop: AbortSignal;
  settled: () => void;
};

async function measure(context: Context): Promise<void> {
  const { deps, keeper, stop } = context;
  if (await standsUnderLatch(context)) return;
  const prepared = await prepare(context);
  if (prepared === undefined) return;
  const { release, checker, watch } = prepared;
  try {
    await keeper.apply({ type: 'verified', at: at(deps), release });
    const goesOn = await checkWhole(context, checker, watch);
    context.settled();
    if (goesOn) await sweepOnAndOn(context, checker, watch);
  } finally {
    if (!stop.aborted) deps.log.error({ code: 'sweeps-ended' }, 'nothing is checked any more');
    await checker.close();
  }
}

type Prepared = { release: ReleaseId; checker: TreeChecker; watch: ReleaseWatch };

/** Verifies the release and makes ready to measure. Whatever goes wrong is a refusal; then there is nothing. */
async function prepare({ settings, deps, keeper }: Context): Promise<Prepared | undefined> {
  try {
    const pin = await readTrustPin(deps.environment);
    const loaded = await loadRelease({ ...settings, ...(pin === undefined ? {} : { pin }) });
    const { verified, manifest } = loaded;
    const watch = await createReleaseWatch(settings, loaded);
    const checker = (deps.createChecker ?? createTreeChecker)({
      root: settings.root,
      manifest,
      rules: verified.predicate.measure,
      bundleDigests: verified.digests,
      now: deps.now,
      ...(settings.workers === undefined ? {} : { workers: settings.workers }),
    });
    return { release: verified.release, checker, watch };
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

/** The first check, which reads everything. @returns whether there is a checker left to go on with */
async function checkWhole(context: Context, checker: TreeChecker, watch: ReleaseWatch): Promise<boolean> {
  const tell = createProgressTeller(context.deps.log, context.deps.notify);
  return check(context, watch, () => checker.full(tell, context.stop), true);
}

async function sweepOnAndOn(context: Context, checker: TreeChecker, watch: ReleaseWatch): Promise<void> {
  const { settings, stop } = context;
  for (;;) {
    const started = performance.now();
    if (!(await check(context, watch, () => sweepInTime(checker, stop), false))) return;
    const spent = performance.now() - started;
    // Sweeps never overlap, and a slow one leaves the machine some time for other work.
    const pause = Math.max(settings.sweepSeconds * 1000 - spent, spent / 4);
    await sleep(pause, undefined, { signal: stop }).catch(() => undefined);
    if (stop.aborted) return;
  }
}

async function sweepInTime(checker: TreeChecker, stop: AbortSignal): Promise<CheckResult> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new HostError('timeout', `a sweep took longer than ${MAX_SWEEP_MS / 60_000} minutes`));
  }, MAX_SWEEP_MS);
  try {
    // A read that the kernel never answers can't be called back; so it is not waited for either.
    return await Promise.race([checker.sweep(stop), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function check(
  { deps, keeper, stop }: Context,
  watch: ReleaseWatch,
  run: () => Promise<CheckResult>,
  isWhole: boolean,
): Promise<boolean> {
  let result: CheckResult;
  try {
    const found = await run();
    const others = await watch(at(deps));
    result = {
      ...found,
      findings: [...others, ...found.findings],
      findingsTotal: others.length + found.findingsTotal,
    };
  } catch (thrown) {
    if (stop.aborted) return false;
    deps.log.error({ code: 'check-failed', reason: reasonOf(thrown) }, messageOf(thrown));
    await keeper.apply({ type: 'failed', at: at(deps), reason: reasonOf(thrown) });
    return !(thrown instanceof HostError && thrown.code === 'timeout');
  }
  if (stop.aborted) return false;
  const { files, bytes, seconds, findings, findingsTotal } = result;
  await keeper.apply({
    type: 'checked',
    at: at(deps),
    findings,
    findingsTotal,
    ...(isWhole ? { measured: { files, bytes, seconds } } : {}),
  });
  return true;
}

function at({ now }: MeasurerDependencies): string {
  return now().toISOString();
}

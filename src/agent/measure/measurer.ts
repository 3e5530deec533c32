import { rm } from 'node:fs/promises';

import type { Verdict } from '../../attestation/verdict.ts';
import { readBootId } from '../../host/kernel/boot-id.ts';
import { makeDirectory } from '../../host/files.ts';
import type { Log } from '../../host/log/log.ts';
import { releaseMemory } from '../../host/kernel/release-memory.ts';
import type { ServiceNotifier } from '../../host/kernel/service-notifier.ts';
import { openTpm } from '../../host/tpm.ts';
import { checkWhole } from './check-whole.ts';
import { latchPath, readLatch, writeLatch } from './latch.ts';
import {
  type PreparationDependencies,
  type Prepared,
  driftTiers,
  prepareMeasurement,
} from './prepare-measurement.ts';
import { reasonOf } from '../reason.ts';
import { runTiers } from './run-tiers.ts';
import type { AgentSettings } from '../settings.ts';
import { startState } from '../state.ts';
import { type TpmRecorder, createTpmRecorder } from './tpm-log.ts';
import { type VerdictKeeper, createVerdictKeeper } from './verdict-keeper.ts';
import { publishVerdict } from './verdict-publisher.ts';

/** What the measuring half is given from outside. */
export type MeasurerDependencies = PreparationDependencies & {
  notify: ServiceNotifier;
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
  const { log, notify } = deps;
  if (await standsUnderLatch(context)) return;
  const prepared = await prepare(context);
  if (prepared === undefined) return;
  const { release, checker, mounts } = prepared;
  const now = (): string => at(deps);
  const surroundings = { keeper, log, at: now, onAlive };
  const looking = new AbortController();
  let looks: Promise<void> | undefined;
  try {
    await keeper.apply({ type: 'verified', at: now(), release });
    // From the first moment on, so that what the files are read through is known and stays.
    looks = runTiers([mounts], surroundings, AbortSignal.any([stop, looking.signal]));
    await checkWhole({ root: settings.root, log, notify, keeper, at: now, stop }, prepared);
    context.settled();
    await checker.endFull();
    await releaseMemory(log);
    if (!stop.aborted) await runTiers(driftTiers(prepared, settings, deps), surroundings, stop);
  } finally {
    looking.abort();
    await looks;
    if (!stop.aborted) log.error({ code: 'tiers-ended' }, 'nothing is checked any more');
    await checker.close();
  }
}

/** Whatever goes wrong before anything is measured is a refusal; then there is nothing. */
async function prepare({ settings, deps, keeper }: Context): Promise<Prepared | undefined> {
  try {
    return await prepareMeasurement(settings, deps);
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

function at({ now }: MeasurerDependencies): string {
  return now().toISOString();
}

import { setTimeout as sleep } from 'node:timers/promises';

import { messageOf } from '../../base/errors.ts';
import { HostError } from '../../host/host-error.ts';
import type { Log } from '../../host/log/log.ts';
import { reasonOf } from '../reason.ts';
import type { Tier, TierContext } from './tier.ts';
import type { VerdictKeeper } from './verdict-keeper.ts';

export type TierSurroundings = {
  keeper: VerdictKeeper;
  log: Log;
  /** Now, in RFC 3339. */
  at: () => string;
  /** Told of every sign of life of any tier. */
  onAlive: () => void;
};

/** What a tier may take to end when it is told to. */
const GRACE_MS = 2000;

/**
 * Runs tiers beside each other until `stop` is aborted, and merges what they find into the verdict. A tier that
 * ends, throws or is silent for too long is a failed check; the others go on, so that more of what is wrong
 * comes to light.
 */
export async function runTiers(
  tiers: readonly Tier[],
  surroundings: TierSurroundings,
  stop: AbortSignal,
): Promise<void> {
  const halt = new AbortController();
  const signal = AbortSignal.any([stop, halt.signal]);
  try {
    await Promise.all(tiers.map((tier) => runTier(tier, surroundings, signal)));
  } finally {
    halt.abort();
  }
}

async function runTier(tier: Tier, surroundings: TierSurroundings, stop: AbortSignal): Promise<void> {
  const { keeper, log, at, onAlive } = surroundings;
  // A tier that hangs is not waited for, but told to end all the same, should it ever come back.
  const own = new AbortController();
  const signal = AbortSignal.any([stop, own.signal]);
  let aliveAt = performance.now();
  const context: TierContext = {
    report: async ({ findings, findingsTotal }) => {
      if (signal.aborted || (findings.length === 0 && findingsTotal === 0)) return;
      await keeper.apply({ type: 'checked', at: at(), findings, findingsTotal });
    },
    fail: async (reason) => {
      if (signal.aborted) return;
      log.error({ code: 'check-failed', tier: tier.name, reason }, reason.message);
      await keeper.apply({ type: 'failed', at: at(), reason });
    },
    cover: async (coverage) => {
      if (!signal.aborted) await keeper.apply({ type: 'covered', coverage });
    },
    alive: () => {
      aliveAt = performance.now();
      onAlive();
    },
  };
  const silence = async (): Promise<never> => {
    for (
      let left = tier.silenceMs;
      left > 0 && !signal.aborted;
      left = aliveAt + tier.silenceMs - performance.now()
    ) {
      await sleep(left, undefined, { signal, ref: false }).catch(() => undefined);
    }
    if (signal.aborted) await sleep(GRACE_MS, undefined, { ref: false });
    throw new HostError('timeout', `the tier "${tier.name}" was silent for ${tier.silenceMs / 1000} s`);
  };
  try {
    await Promise.race([tier.run(context, signal), silence()]);
    if (!stop.aborted) throw new HostError('io-failed', `the tier "${tier.name}" ended by itself`);
  } catch (thrown) {
    if (stop.aborted) return;
    await context.fail(reasonOf(thrown));
    log.error(
      { code: 'tier-ended', tier: tier.name },
      `nothing is checked by it any more: ${messageOf(thrown)}`,
    );
  } finally {
    own.abort();
  }
}

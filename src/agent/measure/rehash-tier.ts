import type { Coverage } from '../../attestation/verdict.ts';
import type { RehashRule } from '../../base/measure-rules.ts';
import type { TreeChecker } from '../../host/measure/check-tree.ts';
import { createPacer } from './pacer.ts';
import { reasonOf } from '../reason.ts';
import { PATIENCE_MS, type Tier, type TierContext } from './tier.ts';

export type RehashTierOptions = {
  checker: Pick<TreeChecker, 'rehashSlices' | 'rehashSlice'>;
  rule: RehashRule;
  now: () => Date;
};

/** How often progress is told, in milliseconds. */
const COVER_MS = 10_000;
/** After a failure the next slice waits this long, in milliseconds. */
const RETRY_MS = 1000;

/**
 * The rolling re-hash: reads everything again, past the page cache, evenly over the hours that the release gives
 * and never with more of a core than it gives. So a block device that was written below the mounted file system,
 * which changes no inode, is found too.
 *
 * A pass begins at a place that nobody can foretell and goes round, so that restarts of the agent leave no part of
 * the tree for last.
 */
export function createRehashTier({ checker, rule, now }: RehashTierOptions): Tier {
  const pacer = createPacer();
  const { rehashSlices: slices } = checker;
  const offset = Math.floor(Math.random() * slices.length);
  let coverage: NonNullable<Coverage['rehash']> = {
    everyHours: rule.hours,
    corePercent: rule.corePercent,
    startedAt: now().toISOString(),
    done: 0,
    bytes: 0,
    direct: 0,
  };

  const pass = async (context: TierContext, signal: AbortSignal): Promise<void> => {
    const started = performance.now();
    let toldAt = Number.NEGATIVE_INFINITY;
    let total = 0;
    coverage = { ...coverage, startedAt: now().toISOString(), done: 0 };
    for (let taken = 0; taken < slices.length && !signal.aborted; taken += 1) {
      const slice = slices[(offset + taken) % slices.length];
      if (slice === undefined) break;
      const found = await rehash(context, signal, slice);
      if (found !== undefined) {
        total += found.findingsTotal;
        if (found.findingsTotal > 0) await context.report({ ...found, findingsTotal: total });
        coverage.bytes += found.bytes;
        coverage.direct += found.direct;
      }
      coverage.done = Math.min(1, coverage.done + slice.weight);
      if (performance.now() - toldAt > COVER_MS) {
        toldAt = performance.now();
        await context.cover({ rehash: { ...coverage } });
      }
      await pacer.until(started + coverage.done * rule.hours * 3_600_000, context.alive, signal);
    }
    const seconds = (performance.now() - started) / 1000;
    coverage = { ...coverage, done: 1, lastFullRehash: now().toISOString(), seconds };
    await context.cover({ rehash: { ...coverage } });
  };

  /** What a slice gave; undefined where it could not be read, and then the check has failed. */
  const rehash = async (
    context: TierContext,
    signal: AbortSignal,
    slice: (typeof slices)[number],
  ): Promise<Awaited<ReturnType<typeof checker.rehashSlice>> | undefined> => {
    let seen = 0;
    const onProgress = ({ bytes }: { bytes: number }): void => {
      if (bytes > seen) context.alive();
      seen = bytes;
    };
    try {
      return await checker.rehashSlice(slice, rule.corePercent / 100, onProgress, signal);
    } catch (thrown) {
      if (!signal.aborted) await context.fail(reasonOf(thrown));
      await pacer.until(performance.now() + RETRY_MS, context.alive, signal);
      return undefined;
    }
  };

  return {
    name: 'rehash',
    silenceMs: PATIENCE_MS,
    run: async (context, signal) => {
      while (!signal.aborted) await pass(context, signal);
    },
  };
}

import type { Finding } from '../../base/finding.ts';
import type { TreeChecker } from '../../host/measure/check-tree.ts';
import type { Log } from '../../host/log/log.ts';
import { createPacer } from './pacer.ts';
import { reasonOf } from '../reason.ts';
import { PATIENCE_MS, type Tier, type TierContext } from './tier.ts';

export type SweepTierOptions = {
  checker: Pick<TreeChecker, 'slices' | 'sweepSlice' | 'besides'>;
  /** Looks at bundle and trust set where they do not lie in the tree. */
  watchRelease: (at: string) => Promise<Finding[]>;
  /** Seconds from one look at an entry to the next. */
  everySeconds: number;
  log: Log;
  now: () => Date;
};

export type SweepTier = Tier & {
  /** Sweeps everything now: something was missed, or could have been. */
  sweepNow: (why: string) => void;
  /** Sweeps at least this often, in seconds, until told otherwise: something else does not see everything. */
  atLeastEvery: (seconds: number | undefined) => void;
};

/**
 * The stat sweep: looks at the inode of everything, slice by slice, evenly over the interval and never in a
 * burst, and reads again what may have been written. Whatever changed an inode is found within the interval,
 * also where no watch sees it.
 */
export function createSweepTier(options: SweepTierOptions): SweepTier {
  const { checker, watchRelease, log, now } = options;
  const pacer = createPacer();
  const rest = createPacer();
  let request: string | undefined;
  let bound = Number.POSITIVE_INFINITY;
  let immediate = 0;
  const everySeconds = (): number => Math.min(options.everySeconds, bound);

  /** Whether it came to its end: one that is paced is given up for one that is asked for now. */
  const sweep = async (context: TierContext, signal: AbortSignal, isNow: boolean): Promise<boolean> => {
    const started = performance.now();
    const period = isNow ? 0 : everySeconds() * 1000;
    let share = 0;
    let total = 0;
    for (const slice of checker.slices) {
      const found = await checker.sweepSlice(slice, signal);
      context.alive();
      // Of many findings in a slice only the first are handed over; how many there are is added up.
      total += found.findingsTotal;
      if (found.findingsTotal > 0) await context.report({ ...found, findingsTotal: total });
      share += slice.weight;
      await pacer.until(started + Math.min(1, share) * period, context.alive, signal);
      if (signal.aborted || (request !== undefined && !isNow)) return false;
    }
    const besides = checker.besides();
    await context.report(besides);
    const others = await watchRelease(now().toISOString());
    await context.report({ findings: others, findingsTotal: others.length });
    return true;
  };

  return {
    name: 'sweep',
    silenceMs: PATIENCE_MS,
    sweepNow: (why) => {
      request ??= why;
      pacer.wake();
    },
    atLeastEvery: (seconds) => {
      bound = seconds ?? Number.POSITIVE_INFINITY;
    },
    run: async (context, signal) => {
      while (!signal.aborted) {
        const why = request;
        request = undefined;
        if (why !== undefined) {
          immediate += 1;
          log.info({ code: 'sweep-now', reason: why }, `sweeping everything now: ${why}`);
        }
        const started = performance.now();
        const spent = (): number => performance.now() - started;
        let isWhole = false;
        try {
          isWhole = await sweep(context, signal, why !== undefined);
        } catch (thrown) {
          if (signal.aborted) return;
          await context.fail(reasonOf(thrown));
          await pacer.until(started + everySeconds() * 1000, context.alive, signal);
        }
        if (!isWhole) continue;
        const seconds = spent() / 1000;
        const ended = { endedAt: now().toISOString(), seconds };
        await context.cover({ sweep: { everySeconds: everySeconds(), immediate, ...ended } });
        // However slow the disk and however urgent the reason: the machine has other work too.
        if (why !== undefined) await rest.until(performance.now() + spent() / 4, context.alive, signal);
      }
    },
  };
}

import type { BoundsPlan } from '../../host/measure/bounds-plan.ts';
import { type BoundsFound, scanBounds } from '../../host/measure/bounds-scan.ts';
import { createPacer } from './pacer.ts';
import { reasonOf } from '../reason.ts';
import type { Tier, TierContext } from './tier.ts';

export type BoundsTierOptions = {
  root: string;
  /** Where to look, as the mounts are now. */
  plan: () => BoundsPlan | undefined;
  /** Seconds from the start of one look to the next, where the areas hold so little that there is a pause. */
  everySeconds: number;
  now: () => Date;
};

/** Entries and directories looked at in a second: some 5 ms of work, whatever somebody piles up there. */
const ENTRIES_A_SECOND = 500;
/** One directory with the most entries that are looked at takes seconds. */
const SILENCE_MS = 180_000;

/**
 * Looks through the mutable areas for what is out of bounds, at a steady slow rate, on and on: 30,000 entries
 * within a minute, more in proportion. The boot check looks once without pausing.
 */
export function createBoundsTier({ root, plan, everySeconds, now }: BoundsTierOptions): Tier {
  const pacer = createPacer();
  const look = async (context: TierContext, signal: AbortSignal): Promise<void> => {
    const current = plan();
    if (current === undefined) return;
    let due = performance.now();
    let total = 0;
    const onDirectory = async ({ findings, findingsTotal, entries }: BoundsFound): Promise<void> => {
      total += findingsTotal;
      if (findingsTotal > 0) await context.report({ findings, findingsTotal: total });
      due += ((entries + 1) / ENTRIES_A_SECOND) * 1000;
      await pacer.until(due, context.alive, signal);
    };
    await scanBounds({ root, plan: current, at: now().toISOString(), signal, onDirectory });
  };
  return {
    name: 'bounds',
    silenceMs: SILENCE_MS,
    run: async (context, signal) => {
      while (!signal.aborted) {
        const started = performance.now();
        try {
          await look(context, signal);
        } catch (thrown) {
          if (!signal.aborted) await context.fail(reasonOf(thrown));
        }
        await pacer.until(started + everySeconds * 1000, context.alive, signal);
      }
    },
  };
}

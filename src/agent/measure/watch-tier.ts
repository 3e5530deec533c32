import type { Coverage } from '../../attestation/verdict.ts';
import type { TreeChecker } from '../../host/measure/check-tree.ts';
import type { Log } from '../../host/log/log.ts';
import type { WatchNews } from '../../host/watch/watch-loop.ts';
import { createPacer } from './pacer.ts';
import type { SweepTier } from './sweep-tier.ts';
import { PATIENCE_MS, type Tier, type TierContext } from './tier.ts';

export type WatchTierOptions = {
  checker: Pick<TreeChecker, 'watch' | 'entries' | 'besides' | 'forget'>;
  sweep: Pick<SweepTier, 'sweepNow' | 'atLeastEvery'>;
  log: Log;
};

/** Without all of its watches, the agent sweeps this often: what they would have shown at once shows within it. */
const UNWATCHED_SWEEP_SECONDS = 10;
/** Entries that wait to be looked at; where there are more, looking at everything is the shorter way. */
const MAX_PENDING = 4096;
/** How often the count of events is told, where nothing else is. */
const COVER_MS = 10_000;
/** The watching thread gives a beat each second; it is asked for one this often. */
const BEAT_MS = 5000;

/**
 * Directory watches: an event leads to a look at just the entry that it concerns, within milliseconds. What comes
 * while one look is under way waits for the next, each entry once. Whatever may have been missed, by an overflow
 * of the kernel's queue or a watch that is lost, leads to a sweep at once.
 */
export function createWatchTier({ checker, sweep, log }: WatchTierOptions): Tier {
  const pacer = createPacer();
  const rest = createPacer();
  const pending = new Set<number>();
  let besides = false;
  let watch: NonNullable<Coverage['watch']> | undefined;
  let events = 0;
  let overflows = 0;
  let isToTell = false;

  const hear = (news: WatchNews): void => {
    switch (news.kind) {
      case 'placed': {
        const { held, wanted, error } = news;
        tellPlaced(log, news);
        watch = { held, wanted, events, overflows, ...(error === undefined ? {} : { error }) };
        isToTell = true;
        sweep.atLeastEvery(held < wanted ? UNWATCHED_SWEEP_SECONDS : undefined);
        sweep.sweepNow('the watches stand now: what changed before is looked for');
        break;
      }
      case 'missed':
        if (news.overflow) overflows += 1;
        if (news.unmounted) checker.forget();
        isToTell = true;
        sweep.sweepNow(news.why);
        break;
      case 'changed':
        events += news.events;
        besides ||= news.bundle;
        for (const entry of news.entries) pending.add(entry);
        if (pending.size > MAX_PENDING) {
          pending.clear();
          sweep.sweepNow(`more than ${MAX_PENDING} entries changed`);
        }
        break;
    }
    pacer.wake();
  };

  const look = async (context: TierContext, signal: AbortSignal): Promise<void> => {
    const entries = Uint32Array.from(pending).sort();
    pending.clear();
    if (entries.length > 0) await context.report(await checker.entries(entries, signal));
    if (!besides) return;
    besides = false;
    await context.report(checker.besides());
  };

  const run = async (context: TierContext, signal: AbortSignal): Promise<void> => {
    const watcher = checker.watch(hear);
    let beats = -1;
    let toldAt = 0;
    const alive = (): void => {
      if (watcher.beats() !== beats) context.alive();
      beats = watcher.beats();
    };
    const loop = async (): Promise<void> => {
      while (!signal.aborted) {
        const started = performance.now();
        if (pending.size > 0 || besides) await look(context, signal);
        const ended = performance.now();
        if (watch !== undefined && (isToTell || (watch.events !== events && ended - toldAt > COVER_MS))) {
          isToTell = false;
          toldAt = ended;
          watch = { ...watch, events, overflows };
          await context.cover({ watch });
        }
        // However many events come, half of the time is the machine's.
        await rest.until(ended + (ended - started), alive, signal);
        if (pending.size === 0 && !besides && !isToTell) await pacer.until(ended + BEAT_MS, alive, signal);
      }
    };
    try {
      await Promise.race([loop(), watcher.died]);
    } finally {
      await watcher.close();
    }
  };
  return { name: 'watch', silenceMs: PATIENCE_MS, run };
}

function tellPlaced(log: Log, { held, wanted, error }: WatchNews & { kind: 'placed' }): void {
  if (held === wanted) {
    log.info({ code: 'watching', held, wanted }, `all ${wanted} directories are watched`);
    return;
  }
  const limits: Readonly<Record<string, string>> = {
    ENOSPC: '; the kernel grants no more: raise fs.inotify.max_user_watches',
    EMFILE: '; the kernel grants no queue: raise fs.inotify.max_user_instances',
  };
  log.warn(
    { code: 'watch-partial', held, wanted, error },
    `${held} of ${wanted} directories are watched (${error})${limits[error ?? ''] ?? ''}. ` +
      `Until they all are, everything is swept every ${UNWATCHED_SWEEP_SECONDS} s.`,
  );
}

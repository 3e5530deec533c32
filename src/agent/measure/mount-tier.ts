import type { MountCoverage } from '../../attestation/mount-state.ts';
import type { Finding } from '../../base/finding.ts';
import type { BoundsPlan } from '../../host/measure/bounds-plan.ts';
import type { Log } from '../../host/log/log.ts';
import type { MountWatch } from '../../host/mounts/mount-watch.ts';
import { createPacer } from './pacer.ts';
import { reasonOf } from '../reason.ts';
import type { Tier } from './tier.ts';

/** How often the mount tables are looked at, in milliseconds: a look at unchanged ones costs some 30 µs. */
const LOOK_MS = 1000;

/** A look waits for nothing but memory of the kernel. */
const SILENCE_MS = 60_000;

export type MountTier = Tier & {
  /** Looks once, between two turns: what is new since the last look. @throws HostError */
  look: (at: string) => Finding[];
  /** Where to look into mutable areas, as of the last look; undefined before the first. */
  plan: () => BoundsPlan | undefined;
};

/** Mount tables, looked at each second: what lies over, under and in what is measured, and with which options. */
export function createMountTier(watch: MountWatch, log: Log, now: () => Date): MountTier {
  const pacer = createPacer();
  let isFirst = true;
  let plan: BoundsPlan | undefined;
  let mounts: MountCoverage | undefined;
  let said: MountCoverage | undefined;
  const look = (at: string): Finding[] => {
    const seen = watch(at);
    if (seen === undefined) return [];
    if (isFirst && seen.mounts.view === 'own') log.warn({ code: 'mounts-own-view' }, OWN_VIEW);
    isFirst = false;
    ({ plan, mounts } = seen);
    return seen.findings;
  };
  return {
    name: 'mounts',
    silenceMs: SILENCE_MS,
    look,
    plan: () => plan,
    run: async (context, signal) => {
      while (!signal.aborted) {
        try {
          const findings = look(now().toISOString());
          await context.report({ findings, findingsTotal: findings.length });
          if (mounts !== undefined && mounts !== said) await context.cover({ mounts });
          said = mounts;
        } catch (thrown) {
          await context.fail(reasonOf(thrown));
        }
        await pacer.until(performance.now() + LOOK_MS, context.alive, signal);
      }
    },
  };
}

const OWN_VIEW =
  'the mount table of PID 1 can not be read (a procfs with hidepid, or ProtectProc=): what is said of mounts ' +
  'holds for the mount namespace of this process alone';

import type { Finding } from '../../base/finding.ts';
import { type BoundsFound, scanBounds } from '../../host/measure/bounds-scan.ts';
import { readImaList } from '../../host/kernel/ima-list.ts';
import type { Log } from '../../host/log/log.ts';
import type { ServiceNotifier } from '../../host/kernel/service-notifier.ts';
import type { MountTier } from './mount-tier.ts';
import type { Prepared } from './prepare-measurement.ts';
import { createProgressTeller } from './progress-teller.ts';
import { reasonOf } from '../reason.ts';
import type { VerdictKeeper } from './verdict-keeper.ts';

export type FirstCheck = {
  root: string;
  log: Log;
  notify: ServiceNotifier;
  keeper: VerdictKeeper;
  /** Now, in RFC 3339. */
  at: () => string;
  stop: AbortSignal;
};

/** The first check, which reads everything. Its outcome goes to the keeper of the verdict, whatever it is. */
export async function checkWhole(
  { root, log, notify, keeper, at, stop }: FirstCheck,
  { manifest, checker, watchRelease, mounts }: Prepared,
): Promise<void> {
  try {
    const tell = createProgressTeller(log, notify, () => keeper.verdict().state);
    // The first finding settles it: nobody waits for the rest of the image to hear that it is not as signed.
    let told: Promise<void> = Promise.resolve();
    const onFinding = (found: Finding): void => {
      const first = { type: 'checked', at: at(), findings: [found], findingsTotal: 1 } as const;
      told = told.then(() => (stop.aborted ? undefined : keeper.apply(first)));
    };
    const whole = await checker.full(tell, stop, onFinding);
    const { files, bytes, seconds, findings, findingsTotal, vouched } = whole;
    await told;
    const beyond = await lookIntoMutable(root, mounts, at(), stop);
    // The mounts once more, so that no check ends well over what was mounted in its last second.
    const others = [...(await watchRelease(at())), ...mounts.look(at())];
    if (stop.aborted) return;
    const { fsVerity: recorded } = manifest;
    const ima = readImaList(at());
    const coverage = {
      ...(recorded > 0 ? { fsVerity: { recorded, vouched } } : {}),
      ...(ima === undefined ? {} : { ima }),
    };
    if (Object.keys(coverage).length > 0) await keeper.apply({ type: 'covered', coverage });
    await keeper.apply({
      type: 'checked',
      at: at(),
      findings: [...others, ...beyond.findings, ...findings],
      findingsTotal: others.length + beyond.findingsTotal + findingsTotal,
      measured: { files, bytes, seconds },
    });
  } catch (thrown) {
    if (stop.aborted) return;
    const reason = reasonOf(thrown);
    log.error({ code: 'check-failed', reason }, reason.message);
    await keeper.apply({ type: 'failed', at: at(), reason });
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

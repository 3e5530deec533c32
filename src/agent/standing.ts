import type { Verdict, VerdictReason } from '../attestation/verdict.ts';
import type { ReleaseId } from '../base/release-id.ts';
import type { VerdictView } from './verdict-follower.ts';

/** The release that the serving half read and verified itself, or why there is none. */
export type OwnRelease = { ok: true; release: ReleaseId } | { ok: false; reason: VerdictReason };

/**
 * What the serving half goes by: the verdict that it heard, if it may be believed, and its own verification.
 * `trusted` comes out only where both halves hold the same release; every doubt gives a state that denies:
 *
 * - the serving half's own verification failed: `refused`, with its reason;
 * - the measuring half is not heard: what it latched last stays (it can't get better); else `starting`, with
 *   the reason;
 * - the halves verified different releases, so that the bundle was replaced between: `refused`.
 *
 * @param at when this view came about, RFC 3339
 */
export function judge(own: OwnRelease, view: VerdictView, at: string): Verdict {
  if (!own.ok) return notTrusted('refused', at, own.reason);
  if (!view.live) {
    const { last, reason } = view;
    if (last?.state === 'drifted' || last?.state === 'refused')
      return { ...last, reason: last.reason ?? reason };
    return {
      ...notTrusted('starting', at, reason),
      ...(last?.measured === undefined ? {} : { measured: last.measured }),
      release: own.release,
    };
  }
  const { verdict } = view;
  if (verdict.state !== 'trusted') return verdict;
  if (verdict.release?.digest === own.release.digest) return verdict;
  return notTrusted('refused', at, {
    code: 'release-mismatch',
    message: `the measuring half checked the release ${verdict.release?.digest ?? 'of no name'}, the serving half holds ${own.release.digest}`,
  });
}

function notTrusted(state: 'starting' | 'refused', since: string, reason: VerdictReason): Verdict {
  return { state, since, drift: [], driftTotal: 0, reason, assurance: 'software' };
}

import { describe, expect, it } from 'vitest';

import { type OwnRelease, judge } from '../../src/agent/standing.ts';
import type { VerdictView } from '../../src/agent/verdict-follower.ts';
import { STATES, type Verdict } from '../../src/attestation/verdict.ts';
import { sha256 } from '../../src/base/digest.ts';
import type { ReleaseId } from '../../src/base/release-id.ts';

const at = '2026-11-23T12:00:00.000Z';
const release: ReleaseId = {
  name: 'payments',
  version: '1.4.0',
  sequence: 7,
  environment: 'production',
  commit: 'c0ffee',
  digest: sha256('statement'),
};
const own: OwnRelease = { ok: true, release };
const unverified: OwnRelease = { ok: false, reason: { code: 'unsigned', message: 'no signature' } };
const lost = { code: 'measurer-silent', message: 'silent' };

function verdict(state: Verdict['state'], change: Partial<Verdict> = {}): Verdict {
  return { state, since: at, release, drift: [], driftTotal: 0, assurance: 'software', ...change };
}

describe('judge', () => {
  it('is trusted only where a live verdict says so of the very release that this half verified', () => {
    for (const state of STATES) {
      const view: VerdictView = { live: true, verdict: verdict(state) };
      expect(judge(own, view, at)).toEqual(verdict(state));
      expect(judge(unverified, view, at)).toMatchObject({ state: 'refused', reason: { code: 'unsigned' } });
      expect(judge(own, { live: false, reason: lost, last: verdict(state) }, at).state).not.toBe('trusted');
    }
  });

  it('is refused where the halves hold different releases, or the verdict names none', () => {
    const other = verdict('trusted', { release: { ...release, digest: sha256('other') } });
    const { release: _, ...none } = verdict('trusted');
    for (const said of [other, none]) {
      expect(judge(own, { live: true, verdict: said }, at)).toMatchObject({
        state: 'refused',
        reason: { code: 'release-mismatch' },
      });
    }
  });

  it('goes back to starting when the measuring half is lost, with the reason', () => {
    const view: VerdictView = { live: false, reason: lost, last: verdict('trusted') };
    expect(judge(own, view, at)).toMatchObject({ state: 'starting', since: at, release, reason: lost });
    expect(judge(own, { ...view, last: undefined }, at)).toMatchObject({ state: 'starting', reason: lost });
  });

  it('keeps what was latched when the measuring half is lost', () => {
    const drifted = verdict('drifted', { driftTotal: 3 });
    expect(judge(own, { live: false, reason: lost, last: drifted }, at)).toEqual({
      ...drifted,
      reason: lost,
    });
    const refused = verdict('refused', { reason: { code: 'unsigned', message: 'm' } });
    expect(judge(own, { live: false, reason: lost, last: refused }, at)).toEqual(refused);
  });
});

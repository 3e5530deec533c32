import { describe, expect, test } from 'vitest';

import { verifyReport } from '../../src/attestation/report.ts';
import type { State } from '../../src/attestation/verdict.ts';
import { sha256 } from '../../src/base/digest.ts';
import { viewFleet, viewHost } from '../../src/collector/fleet.ts';
import type { HostRow } from '../../src/collector/rows.ts';
import { DEFAULT_SETTINGS, GONE_SECONDS } from '../../src/collector/settings.ts';
import { summarize } from '../../src/collector/summary.ts';
import { RELEASE, TRUSTED, newKey, testHost } from '../attestation/hosts.ts';
import { NOON } from './collector-fixture.ts';

const key = newKey();

function row(name: string, state: State, options: Partial<HostRow> & { sequence?: number } = {}): HostRow {
  const { sequence = RELEASE.sequence, ...rest } = options;
  const release = { ...RELEASE, sequence, version: `1.${sequence}`, digest: sha256(`release ${sequence}`) };
  const report = testHost(name, {}, key).next({ verdict: { ...TRUSTED, state, release } });
  return {
    id: sha256(name),
    firstSeen: NOON,
    lastSeen: NOON,
    last: { seq: 1, digest: report.digest },
    nonce: 'n',
    nonceAt: NOON,
    fresh: true,
    summary: summarize(verifyReport(report.body)),
    forkedAt: undefined,
    flagged: [],
    ...rest,
  };
}

describe('viewHost', () => {
  const interval = DEFAULT_SETTINGS.intervalSeconds * 1000;
  test.each([
    ['the state it reports', row('a', 'measuring'), 0, 'measuring'],
    ['trusted just before three intervals', row('a', 'trusted'), 3 * interval, 'trusted'],
    ['silent after three intervals', row('a', 'trusted'), 3 * interval + 1, 'silent'],
    ['silent, though it was drifted', row('a', 'drifted'), 4 * interval, 'silent'],
    ['gone after a day', row('a', 'drifted'), GONE_SECONDS * 1000 + 1, 'gone'],
    ['forked, whatever it says', row('a', 'trusted', { forkedAt: NOON }), 0, 'forked'],
    ['forked, silent or not', row('a', 'trusted', { forkedAt: NOON }), 4 * interval, 'forked'],
    ['gone, forked or not', row('a', 'trusted', { forkedAt: NOON }), GONE_SECONDS * 1000 + 1, 'gone'],
  ] as const)('shows %s', (_, host, later, state) => {
    expect(viewHost(host, NOON + later, DEFAULT_SETTINGS).state).toBe(state);
  });

  test('a host whose clock is ahead does not come to its state after it said so', () => {
    const host = row('a', 'trusted', { lastSeen: Date.parse(TRUSTED.since) - 3_600_000 });
    expect(viewHost(host, host.lastSeen, DEFAULT_SETTINGS).since).toBe(host.lastSeen);
  });

  test('a host without a name is shown by its id', () => {
    expect(viewHost(row('', 'trusted'), NOON, DEFAULT_SETTINGS).name).toBe(sha256('').slice(0, 12));
  });
});

describe('viewFleet', () => {
  test('sorts what is wrong first, counts states and releases', () => {
    const late = { lastSeen: NOON - 400_000 };
    const fleet = viewFleet(
      [
        row('z-trusted', 'trusted'),
        row('b-silent', 'trusted', late),
        row('a-trusted', 'trusted', { sequence: 8 }),
        row('c-silent-after-drift', 'drifted', late),
        row('d-forked', 'trusted', { forkedAt: NOON }),
        row('e-drifted', 'drifted'),
        row('f-refused', 'refused'),
        row('g-measuring', 'measuring', { sequence: 8 }),
        row('h-gone', 'trusted', { lastSeen: NOON - GONE_SECONDS * 1000 - 1 }),
      ],
      NOON,
      DEFAULT_SETTINGS,
    );
    expect(fleet.hosts.map(({ name }) => name)).toEqual([
      'f-refused',
      'e-drifted',
      'd-forked',
      'c-silent-after-drift',
      'b-silent',
      'g-measuring',
      'a-trusted',
      'z-trusted',
      'h-gone',
    ]);
    expect(Object.fromEntries(fleet.counts)).toEqual({
      refused: 1,
      drifted: 1,
      forked: 1,
      silent: 2,
      measuring: 1,
      starting: 0,
      trusted: 2,
      gone: 1,
    });
    expect(fleet.releases.map(({ release, total }) => [release?.sequence, total])).toEqual([
      [8, 2],
      [7, 6],
    ]);
  });
});

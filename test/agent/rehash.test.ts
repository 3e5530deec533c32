import { describe, expect, it, onTestFinished } from 'vitest';

import { createRehashTier } from '../../src/agent/measure/rehash-tier.ts';
import type { Coverage } from '../../src/attestation/verdict.ts';
import { bytePathOfText } from '../../src/base/byte-path.ts';
import type { RehashRule } from '../../src/base/measure-rules.ts';
import { type Finding, finding } from '../../src/base/finding.ts';
import type { CheckResult } from '../../src/host/measure/check-tree.ts';
import { HostError } from '../../src/host/host-error.ts';
import type { Slice } from '../../src/host/measure/plan-slices.ts';
import { makeImage, seal } from '../system/sealed-image.ts';
import { until } from './until.ts';

const SLICES: Slice[] = [0, 1, 2, 3].map((from) => ({ from, to: from + 1, weight: 0.25 }));
const NONE: CheckResult & { direct: number } = {
  findings: [],
  findingsTotal: 0,
  files: 1,
  bytes: 100,
  seconds: 0,
  direct: 60,
};

/** A tier over slices that give what a test says. */
function start(
  rule: RehashRule,
  rehashSlice: (slice: Slice, share: number) => typeof NONE,
): { taken: number[]; coverage: Coverage['rehash'][]; found: Finding[]; failed: string[] } {
  const taken: number[] = [];
  const coverage: Coverage['rehash'][] = [];
  const found: Finding[] = [];
  const failed: string[] = [];
  const tier = createRehashTier({
    checker: {
      rehashSlices: SLICES,
      rehashSlice: (slice, share) => {
        taken.push(slice.from);
        return Promise.resolve().then(() => rehashSlice(slice, share));
      },
    },
    rule,
    now: () => new Date('2026-11-23T12:00:00.000Z'),
  });
  const stop = new AbortController();
  const running = tier.run(
    {
      report: ({ findings }) => Promise.resolve(void found.push(...findings)),
      fail: ({ code }) => Promise.resolve(void failed.push(code)),
      cover: ({ rehash }) => Promise.resolve(void coverage.push(rehash)),
      alive: () => undefined,
    },
    stop.signal,
  );
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  return { taken, coverage, found, failed };
}

const HOURS = 0.4 / 3600;

describe('createRehashTier', () => {
  it('goes round over everything, evenly over the hours, with the share that the release gives', async () => {
    const shares = new Set<number>();
    const started = performance.now();
    const tier = start({ hours: HOURS, corePercent: 5 }, (_, share) => {
      shares.add(share);
      return NONE;
    });
    const last = await until('a full pass', () =>
      tier.coverage.find((one) => one?.lastFullRehash !== undefined),
    );
    expect(performance.now() - started).toBeGreaterThan(390);
    expect(last).toMatchObject({ done: 1, bytes: 400, direct: 240, corePercent: 5 });
    const [first = 0] = tier.taken;
    expect(tier.taken.slice(0, 4)).toEqual([0, 1, 2, 3].map((step) => (first + step) % 4));
    expect([...shares]).toEqual([0.05]);
  });

  it('reports what a slice finds, and goes on where one can not be read', async () => {
    const at = '2026-11-23T12:00:00.000Z';
    const one = finding(bytePathOfText('/bin/a'), 'modified', 'a', 'b', at);
    const tier = start({ hours: HOURS, corePercent: 100 }, ({ from }) => {
      if (from === 1) throw new HostError('tree-unreadable', 'EIO');
      return from === 2 ? { ...NONE, findings: [one], findingsTotal: 1 } : NONE;
    });
    await until('both', () => tier.found.length > 0 && tier.failed.length > 0);
    expect(tier.found[0]).toBe(one);
    expect(tier.failed[0]).toBe('tree-unreadable');
  });
});

describe('TreeChecker.rehashSlice', () => {
  it('finds nothing in a good tree, and rests so that it takes its share of a core alone', async () => {
    const { checker } = await seal(makeImage());
    const [slice] = checker.rehashSlices;
    if (slice === undefined) throw new Error('no slice');
    const whole = await checker.rehashSlice(slice, 1, () => undefined);
    expect(whole).toMatchObject({ findingsTotal: 0, files: 11 });
    const shared = await checker.rehashSlice(slice, 0.01, () => undefined);
    expect(shared).toMatchObject({ findingsTotal: 0, bytes: whole.bytes });
    // A hundredth of a core: at least some fifty times as long, whatever else the machine does.
    expect(shared.seconds).toBeGreaterThan(Math.min(0.05, whole.seconds * 10));
  });

  it('ends at once when it is closed while it rests', async () => {
    const { checker } = await seal(makeImage());
    const [slice] = checker.rehashSlices;
    if (slice === undefined) throw new Error('no slice');
    const resting = checker.rehashSlice(slice, 0.000_001, () => undefined);
    const closed = checker.close();
    await expect(resting).rejects.toMatchObject({ code: 'aborted' });
    await closed;
  });
});

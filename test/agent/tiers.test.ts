import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { runTiers } from '../../src/agent/measure/run-tiers.ts';
import { type Model, startState } from '../../src/agent/state.ts';
import { type SweepTier, createSweepTier } from '../../src/agent/measure/sweep-tier.ts';
import type { Tier } from '../../src/agent/measure/tier.ts';
import { type VerdictKeeper, createVerdictKeeper } from '../../src/agent/measure/verdict-keeper.ts';
import type { Verdict } from '../../src/attestation/verdict.ts';
import { bytePathOfText } from '../../src/base/byte-path.ts';
import { sha256 } from '../../src/base/digest.ts';
import { finding } from '../../src/base/finding.ts';
import type { CheckResult } from '../../src/host/measure/check-tree.ts';
import { HostError } from '../../src/host/host-error.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import type { Slice } from '../../src/host/measure/plan-slices.ts';
import { until } from './until.ts';

const at = '2026-11-23T12:00:00.000Z';
const CLEAN: CheckResult = { findings: [], findingsTotal: 0, files: 0, bytes: 0, seconds: 0 };
const release = { name: 'n', version: '1', sequence: 1, environment: 'e', commit: 'c', digest: sha256('') };

/** A keeper of a trusted machine that notes what it does. */
async function trusted(latch: (verdict: Verdict) => Promise<void> = () => Promise.resolve()): Promise<{
  keeper: VerdictKeeper;
  published: Verdict[];
}> {
  const published: Verdict[] = [];
  const keeper = createVerdictKeeper({
    first: startState(at) satisfies Model,
    publish: (verdict) => void published.push(verdict),
    latch,
    notify: () => undefined,
    log: SILENT_LOG,
  });
  await keeper.apply({ type: 'verified', at, release });
  await keeper.apply({ type: 'checked', at, findings: [], findingsTotal: 0 });
  published.length = 0;
  return { keeper, published };
}

function found(path: string): CheckResult {
  return { ...CLEAN, findings: [finding(bytePathOfText(path), 'modified', 'a', 'b', at)], findingsTotal: 1 };
}

/** Runs tiers until the test ends. */
function start(tiers: readonly Tier[], keeper: VerdictKeeper): { stop: () => Promise<void> } {
  const stop = new AbortController();
  const running = runTiers(
    tiers,
    { keeper, log: SILENT_LOG, at: () => at, onAlive: () => undefined },
    stop.signal,
  );
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  onTestFinished(end);
  return { stop: end };
}

const idle: Tier['run'] = async (_, signal) => {
  await sleep(60_000, undefined, { signal }).catch(() => undefined);
};

describe('runTiers', () => {
  it('merges what each tier finds, and coverage part by part', async () => {
    const { keeper } = await trusted();
    const tier = (name: string): Tier => ({
      name,
      silenceMs: 60_000,
      run: async (context, signal) => {
        await context.report(CLEAN);
        await context.report(found(`/bin/${name}`));
        await idle(context, signal);
      },
    });
    start([tier('a'), tier('b')], keeper);
    await until('both findings', () => keeper.verdict().driftTotal === 2);
    expect(
      keeper
        .verdict()
        .drift.map(({ path }) => path)
        .sort(),
    ).toEqual(['/bin/a', '/bin/b']);
  });

  it.each<[string, Tier['run'], string]>([
    ['ends', () => Promise.resolve(), 'io-failed'],
    ['throws', () => Promise.reject(new HostError('tree-unreadable', 'EIO')), 'tree-unreadable'],
    ['hangs', () => new Promise(() => undefined), 'timeout'],
  ])('is a failed check where a tier %s, and the others go on', async (_, run, code) => {
    const { keeper } = await trusted();
    let beats = 0;
    const other: Tier = {
      name: 'other',
      silenceMs: 60_000,
      run: async (_, signal) => {
        for (; !signal.aborted; beats += 1) await sleep(5);
      },
    };
    start([{ name: 'faulty', silenceMs: 50, run }, other], keeper);
    await until('the failure', () => keeper.verdict().state === 'drifted');
    expect(keeper.verdict().reason).toMatchObject({ code });
    const before = beats;
    await until('a beat of the other', () => beats > before);
  });

  it('takes a tier that shows signs of life for alive', async () => {
    const { keeper } = await trusted();
    let beats = 0;
    const tier: Tier = {
      name: 'slow',
      silenceMs: 2000,
      run: async (context, signal) => {
        for (; !signal.aborted && beats < 30; beats += 1) {
          context.alive();
          await sleep(100);
        }
        await idle(context, signal);
      },
    };
    start([tier], keeper);
    await until('thirty beats', () => beats === 30);
    expect(keeper.verdict().state).toBe('trusted');
  });

  it('ends itself where the verdict can not be kept', async () => {
    const { keeper } = await trusted();
    const broken = { ...keeper, apply: () => Promise.reject(new Error('broken')) };
    const tier: Tier = { name: 'a', silenceMs: 60_000, run: (context) => context.report(found('/a')) };
    const stop = new AbortController();
    await expect(
      runTiers(
        [tier, { name: 'b', silenceMs: 60_000, run: idle }],
        { keeper: broken, log: SILENT_LOG, at: () => at, onAlive: () => undefined },
        stop.signal,
      ),
    ).rejects.toThrow('broken');
  });
});

describe('createVerdictKeeper', () => {
  it('latches and publishes one event after the other, however they come', async () => {
    const order: string[] = [];
    const { keeper, published } = await trusted(async ({ driftTotal }) => {
      await sleep(driftTotal === 1 ? 50 : 0);
      order.push(`latched ${driftTotal}`);
    });
    const event = (path: string): Promise<void> => keeper.apply({ type: 'checked', at, ...found(path) });
    await Promise.all([event('/a'), event('/b')]);
    expect(order).toEqual(['latched 1', 'latched 2']);
    expect(published.map(({ driftTotal }) => driftTotal)).toEqual([1, 2]);
  });

  it('does not write the latch again for coverage', async () => {
    let latched = 0;
    const { keeper, published } = await trusted(() => Promise.resolve(void (latched += 1)));
    await keeper.apply({ type: 'checked', at, ...found('/a') });
    await keeper.apply({ type: 'covered', coverage: { sweep: { everySeconds: 60, immediate: 1 } } });
    expect(latched).toBe(1);
    expect(published.at(-1)).toMatchObject({ state: 'drifted', coverage: { sweep: { immediate: 1 } } });
  });
});

describe('createSweepTier', () => {
  const SLICES: Slice[] = [0, 1, 2, 3].map((from) => ({ from, to: from + 1, weight: 0.25 }));

  function sweepTier(
    everySeconds: number,
    sweepSlice: (slice: Slice) => CheckResult,
  ): { tier: SweepTier; taken: { slice: number; at: number }[] } {
    const taken: { slice: number; at: number }[] = [];
    const tier = createSweepTier({
      checker: {
        slices: SLICES,
        sweepSlice: (slice) => {
          taken.push({ slice: slice.from, at: performance.now() });
          return Promise.resolve().then(() => sweepSlice(slice));
        },
        besides: () => CLEAN,
      },
      watchRelease: () => Promise.resolve([]),
      everySeconds,
      log: SILENT_LOG,
      now: () => new Date(at),
    });
    return { tier, taken };
  }

  it('takes slices evenly over the interval, over and over', async () => {
    const { keeper } = await trusted();
    const { tier, taken } = sweepTier(0.4, () => CLEAN);
    start([tier], keeper);
    await until('two passes', () => taken.length >= 8);
    expect(taken.slice(0, 8).map(({ slice }) => slice)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
    // A timer may be late, never early; the pace makes up for it within the pass.
    expect((taken[4]?.at ?? 0) - (taken[0]?.at ?? 0)).toBeGreaterThan(390);
    expect((taken[2]?.at ?? 0) - (taken[0]?.at ?? 0)).toBeGreaterThan(195);
    await until('its coverage', () => keeper.verdict().coverage?.sweep?.endedAt === at);
    expect(keeper.verdict().coverage?.sweep).toMatchObject({ everySeconds: 0.4, immediate: 0 });
  });

  it('goes over everything from the start, without pauses, when asked to', async () => {
    const { keeper } = await trusted();
    const { tier, taken } = sweepTier(3600, () => CLEAN);
    start([tier], keeper);
    await until('the first slice', () => taken.length === 1);
    tier.sweepNow('a test');
    await until('a whole pass', () => keeper.verdict().coverage?.sweep?.immediate === 1);
    expect(taken.map(({ slice }) => slice)).toEqual([0, 0, 1, 2, 3, 0]);
  });

  it('does so too when it is asked to while it looks, not only while it sleeps', async () => {
    const { keeper } = await trusted();
    let asked = false;
    const { tier } = sweepTier(3600, () => {
      if (!asked) tier.sweepNow('a test');
      asked = true;
      return CLEAN;
    });
    start([tier], keeper);
    await until('a whole pass', () => keeper.verdict().coverage?.sweep?.immediate === 1);
  });

  it('goes over everything once more for what is asked during such a pass', async () => {
    const { keeper } = await trusted();
    const { tier } = sweepTier(3600, ({ from }) => {
      if (from === 2 && (keeper.verdict().coverage?.sweep?.immediate ?? 0) === 0) tier.sweepNow('again');
      return CLEAN;
    });
    tier.sweepNow('first');
    start([tier], keeper);
    await until('two passes', () => keeper.verdict().coverage?.sweep?.immediate === 2);
  });

  it('adds up over a pass what slices found and did not hand over', async () => {
    const { keeper } = await trusted();
    const { tier } = sweepTier(0.1, ({ from }) => ({ ...found(`/bin/${from}`), findingsTotal: 10_000 }));
    start([tier], keeper);
    await until('all of it', () => keeper.verdict().driftTotal === 40_000);
    await until('another pass', () => keeper.verdict().coverage !== undefined);
    expect(keeper.verdict().driftTotal).toBe(40_000);
    expect(keeper.verdict().drift).toHaveLength(4);
  });

  it('fails the check where a slice can not be looked at, and goes on', async () => {
    const { keeper } = await trusted();
    let failed = 0;
    const { tier } = sweepTier(0.1, ({ from }) => {
      if (from === 1 && (failed += 1) <= 2) throw new HostError('tree-unreadable', 'EIO');
      return from === 3 ? found('/bin/late') : CLEAN;
    });
    start([tier], keeper);
    await until('the finding behind it', () => keeper.verdict().driftTotal === 1);
    expect(keeper.verdict()).toMatchObject({ state: 'drifted', reason: { code: 'tree-unreadable' } });
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { AgentError } from '../../src/agent/agent-error.ts';
import { type Model, type StateEvent, advance, startState } from '../../src/agent/state.ts';
import { MAX_DRIFT_SHOWN, type State } from '../../src/attestation/verdict.ts';
import { bytePathOfText } from '../../src/base/byte-path.ts';
import { sha256 } from '../../src/base/digest.ts';
import { type Finding, finding } from '../../src/base/finding.ts';
import type { ReleaseId } from '../../src/base/release-id.ts';

const at = '2026-11-23T12:00:00.000Z';
const later = '2026-11-23T12:00:10.000Z';
const release: ReleaseId = {
  name: 'payments',
  version: '1.4.0',
  sequence: 7,
  environment: 'production',
  commit: 'c0ffee',
  digest: sha256('statement'),
};
const measured = { files: 3, bytes: 12, seconds: 0.5 };
const reason = { code: 'unsigned', message: 'the bundle bears no signature' };

function found(path: string, kind: Finding['kind'] = 'modified', actual = 'b'): Finding {
  return finding(bytePathOfText(path), kind, 'a', actual, at);
}

function clean(when = at): StateEvent {
  return { type: 'checked', at: when, findings: [], findingsTotal: 0, measured };
}

function drift(...findings: Finding[]): StateEvent {
  return { type: 'checked', at: later, findings, findingsTotal: findings.length };
}

function after(...events: StateEvent[]): Model {
  return events.reduce(advance, startState(at));
}

const verified: StateEvent = { type: 'verified', at, release };

describe('advance', () => {
  it('goes from starting over measuring to trusted, keeping release and measurement', () => {
    expect(after().verdict.state).toBe('starting');
    expect(after(verified).verdict).toMatchObject({ state: 'measuring', release });
    expect(after(verified, clean(later)).verdict).toEqual({
      state: 'trusted',
      since: later,
      release,
      measured,
      drift: [],
      driftTotal: 0,
      assurance: 'software',
    });
  });

  it('changes nothing at a clean sweep of a trusted machine', () => {
    const trusted = after(verified, clean());
    expect(advance(trusted, { type: 'checked', at: later, findings: [], findingsTotal: 0 })).toBe(trusted);
  });

  it('goes to drifted at the first finding, from measuring and from trusted', () => {
    for (const before of [after(verified), after(verified, clean())]) {
      const { verdict } = advance(before, drift(found('/bin/a')));
      expect(verdict).toMatchObject({
        state: 'drifted',
        since: later,
        driftTotal: 1,
        drift: [found('/bin/a')],
      });
    }
  });

  it('stays drifted, since the first time, when a later sweep is clean', () => {
    const drifted = after(verified, clean(), drift(found('/bin/a')));
    expect(advance(drifted, clean('2026-11-23T13:00:00.000Z')).verdict).toMatchObject({
      state: 'drifted',
      since: later,
      driftTotal: 1,
    });
  });

  it('keeps the findings of the first time, adds new ones, and counts path and kind once', () => {
    const first = found('/bin/a');
    const model = after(
      verified,
      drift(first),
      drift(found('/bin/a', 'modified', 'changed again'), found('/bin/a', 'metadata'), found('/bin/b')),
    );
    expect(model.verdict.drift).toEqual([first, found('/bin/a', 'metadata'), found('/bin/b')]);
    expect(model.verdict.driftTotal).toBe(3);
  });

  it('shows at most 100 findings and counts the rest, also those that a sweep only counted', () => {
    const many = Array.from({ length: 150 }, (_, index) => found(`/bin/${index}`));
    const model = after(verified, drift(...many));
    expect(model.verdict.drift).toHaveLength(MAX_DRIFT_SHOWN);
    expect(model.verdict.driftTotal).toBe(150);
    const counted = advance(model, {
      type: 'checked',
      at,
      findings: many.slice(0, 100),
      findingsTotal: 4000,
    });
    expect(counted.verdict.driftTotal).toBe(4000);
  });

  it('bounds the size of what a verdict carries, however long names and words are', () => {
    const long = 'x'.repeat(4000);
    const many = Array.from({ length: 100 }, (_, index) => found(`/${index}/${long}`, 'modified', long));
    const { verdict } = after(verified, drift(...many));
    expect(JSON.stringify(verdict).length).toBeLessThan(300_000);
    expect(verdict.driftTotal).toBe(100);
    expect(verdict.drift[0]?.path).toBe(`/0/${long}`);
  });

  it('is drifted with a reason when a check fails, and keeps the first reason', () => {
    const failed: StateEvent = { type: 'failed', at: later, reason: { code: 'io-failed', message: 'EIO' } };
    const model = after(verified, clean(), failed);
    expect(model.verdict).toMatchObject({ state: 'drifted', since: later, reason: { code: 'io-failed' } });
    expect(advance(model, { ...failed, reason })).toBe(model);
  });

  it('is refused, with the reason, from starting and from measuring', () => {
    const refused: StateEvent = { type: 'refused', at: later, reason };
    for (const before of [after(), after(verified)]) {
      expect(advance(before, refused).verdict).toMatchObject({ state: 'refused', since: later, reason });
    }
  });

  it('takes over what an earlier process latched', () => {
    const drifted = after(verified, drift(found('/bin/a'))).verdict;
    const taken = after({ type: 'latched', verdict: drifted }).verdict;
    expect(taken).toMatchObject({ ...drifted, reason: { code: 'latched' } });
    const refused = after({ type: 'refused', at, reason }).verdict;
    const again = after({ type: 'latched', verdict: refused }).verdict;
    const message = `${reason.message} (latched at ${at}, before this process started; only a reboot clears it)`;
    expect(again).toEqual({ ...refused, reason: { ...reason, message } });
    expect(after({ type: 'latched', verdict: again }).verdict).toEqual(again);
  });

  it('never takes over a latch that claims a good state', () => {
    const trusted = after(verified, clean()).verdict;
    expect(after({ type: 'latched', verdict: trusted }).verdict.state).toBe('drifted');
  });

  it('throws state-illegal for what can not happen', () => {
    const refused: StateEvent = { type: 'refused', at, reason };
    const trusted = [verified, clean()];
    for (const [before, event] of [
      [[], clean()],
      [[], { type: 'failed', at, reason }],
      [[verified], verified],
      [trusted, verified],
      [trusted, refused],
      [trusted, { type: 'latched', verdict: after().verdict }],
      [[refused], clean()],
      [[refused], verified],
      [[verified, drift(found('/a'))], refused],
    ] as [StateEvent[], StateEvent][]) {
      expect(() => advance(after(...before), event)).toThrow(AgentError);
    }
  });

  it('never leaves drifted or refused, whatever happens in whatever order', () => {
    const anyEvent = fc.constantFrom<StateEvent>(
      verified,
      clean(),
      drift(found('/bin/a')),
      { type: 'failed', at, reason },
      { type: 'refused', at, reason },
      { type: 'latched', verdict: startState(at).verdict },
    );
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 12 }), (events) => {
        let model = startState(at);
        let latched: State | undefined;
        for (const event of events) {
          try {
            model = advance(model, event);
          } catch (thrown) {
            expect(thrown).toMatchObject({ code: 'state-illegal' });
          }
          if (latched !== undefined) expect(model.verdict.state).toBe(latched);
          if (['drifted', 'refused'].includes(model.verdict.state)) latched = model.verdict.state;
        }
      }),
    );
  });
});

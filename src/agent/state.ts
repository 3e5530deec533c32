import { type Coverage, MAX_DRIFT_SHOWN, type Verdict, type VerdictReason } from '../attestation/verdict.ts';
import type { Finding } from '../base/finding.ts';
import type { ReleaseId } from '../base/release-id.ts';
import { AgentError } from './agent-error.ts';

/** The measuring half's state: what it says, and what it needs to remember to say it right. */
export type Model = {
  readonly verdict: Verdict;
  /** Path and kind of every finding counted so far, so that a finding that stays is counted once. */
  readonly counted: ReadonlySet<string>;
  /** Characters of the findings shown. */
  readonly shownSize: number;
};

/** What happens to the measuring half; `at` is when, RFC 3339 in UTC. */
export type StateEvent =
  /** The bundle's signatures, environment, sequence, digests, policy and manifest hold. */
  | { type: 'verified'; at: string; release: ReleaseId }
  /** A check of the files ended; `measured` is given by a check that read everything. */
  | {
      type: 'checked';
      at: string;
      findings: readonly Finding[];
      findingsTotal: number;
      measured?: { files: number; bytes: number; seconds: number };
    }
  /** A check could not be done. What can't be checked is not trusted. */
  | { type: 'failed'; at: string; reason: VerdictReason }
  /** A tier says what it covers: no change of state. */
  | { type: 'covered'; coverage: Coverage }
  /** There is no release that this machine may run. */
  | { type: 'refused'; at: string; reason: VerdictReason; release?: ReleaseId }
  /** An earlier process of this boot had latched this verdict. */
  | { type: 'latched'; verdict: Verdict };

/** Findings remembered to count them once; an attacker who makes more is counted by the largest sweep. */
const MAX_COUNTED = 10_000;
/** Characters of findings that a verdict carries, so that it fits a report and a line on the socket. */
const MAX_SHOWN_SIZE = 256 * 1024;
/** Characters of one finding's words or a reason: what a person can use; paths stay whole. */
const MAX_WORDS = 1024;

/** The state in which the measuring half starts: nothing is known, nothing is trusted. */
export function startState(at: string): Model {
  const verdict: Verdict = { state: 'starting', since: at, drift: [], driftTotal: 0, assurance: 'software' };
  return { verdict, counted: new Set(), shownSize: 0 };
}

/**
 * The state after an event: starting → measuring → trusted → drifted, and refused from the first two.
 * `drifted` and `refused` are never left.
 * @throws AgentError `state-illegal` for an event that can't happen in a state
 */
export function advance(model: Model, event: StateEvent): Model {
  const { state } = model.verdict;
  switch (event.type) {
    case 'verified':
      requireState(model, event, state === 'starting');
      return enter(model, 'measuring', event.at, { release: event.release });
    case 'refused':
      requireState(model, event, state === 'starting' || state === 'measuring');
      return enter(model, 'refused', event.at, {
        reason: bounded(event.reason),
        ...(event.release === undefined ? {} : { release: event.release }),
      });
    case 'latched':
      requireState(model, event, state === 'starting');
      return underLatch(event.verdict);
    case 'failed':
      requireState(model, event, canCheck(model));
      if (state === 'drifted') return model;
      return enter(model, 'drifted', event.at, { reason: bounded(event.reason) });
    case 'covered': {
      requireState(model, event, canCheck(model));
      const coverage = { ...model.verdict.coverage, ...event.coverage };
      return { ...model, verdict: { ...model.verdict, coverage } };
    }
    case 'checked':
      requireState(model, event, canCheck(model));
      return checked(model, event);
  }
}

function canCheck({ verdict: { state } }: Model): boolean {
  return state === 'measuring' || state === 'trusted' || state === 'drifted';
}

function requireState(model: Model, event: StateEvent, legal: boolean): void {
  if (legal) return;
  throw new AgentError('state-illegal', `"${event.type}" can't happen in the state ${model.verdict.state}`);
}

function enter(model: Model, state: Verdict['state'], since: string, change: Partial<Verdict>): Model {
  return { ...model, verdict: { ...model.verdict, ...change, state, since } };
}

function checked(model: Model, event: StateEvent & { type: 'checked' }): Model {
  const { measured } = event;
  const current = measured === undefined ? model : { ...model, verdict: { ...model.verdict, measured } };
  if (event.findingsTotal > 0 || event.findings.length > 0) {
    const drifted = current.verdict.state === 'drifted' ? current : enter(current, 'drifted', event.at, {});
    return withFindings(drifted, event);
  }
  // A clean check makes a measured machine trusted; it never makes a drifted one so again.
  return current.verdict.state === 'measuring' ? enter(current, 'trusted', event.at, {}) : current;
}

function withFindings(model: Model, event: StateEvent & { type: 'checked' }): Model {
  const counted = new Set(model.counted);
  const drift = [...model.verdict.drift];
  let shownSize = model.shownSize;
  for (const raw of event.findings) {
    const key = `${raw.kind} ${raw.pathBase64 ?? raw.path}`;
    if (counted.has(key)) continue;
    if (counted.size < MAX_COUNTED) counted.add(key);
    const found = { ...raw, expected: cut(raw.expected), actual: cut(raw.actual) };
    const size = JSON.stringify(found).length;
    if (drift.length >= MAX_DRIFT_SHOWN || shownSize + size > MAX_SHOWN_SIZE) continue;
    drift.push(found);
    shownSize += size;
  }
  if (counted.size === model.counted.size && event.findingsTotal <= model.verdict.driftTotal) return model;
  // A check hands over its first findings alone; those beyond are known by their number only.
  const driftTotal = Math.max(model.verdict.driftTotal, counted.size, event.findingsTotal);
  return { verdict: { ...model.verdict, drift, driftTotal }, counted, shownSize };
}

function underLatch(verdict: Verdict): Model {
  const state = verdict.state === 'refused' ? 'refused' : 'drifted';
  const latched = `latched at ${verdict.since}, before this process started; only a reboot clears it`;
  const before = verdict.reason;
  const said = before?.message.replace(/ \(latched at [^)]*\)$/, ''); // by the restart before this one
  const reason =
    before === undefined || said === undefined || before.code === 'latched'
      ? { code: 'latched', message: latched }
      : { code: before.code, message: `${said} (${latched})` };
  return { verdict: { ...verdict, state, reason }, counted: new Set(), shownSize: 0 };
}

function bounded(reason: VerdictReason): VerdictReason {
  return { code: reason.code, message: cut(reason.message) };
}

function cut(words: string): string {
  return words.length <= MAX_WORDS ? words : `${words.slice(0, MAX_WORDS - 1).toWellFormed()}…`;
}

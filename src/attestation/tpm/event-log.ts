import { createHash } from 'node:crypto';

import { type Sha256, sha256 } from '../../base/digest.ts';
import { canonicalJson } from '../../base/json.ts';
import { type Reader, digest, list, moment, oneOf, record, text, whole } from '../../base/shape.ts';
import { STATES, type State, type Verdict } from '../verdict.ts';

/**
 * What the agent extends into its PCR, one entry after another since the TPM was reset: the release that it
 * verified, then every verdict.
 */
export type TpmEvent = ReleaseEvent | VerdictEvent;
type ReleaseEvent = { kind: 'release'; at: string; release: Sha256 };
type VerdictEvent = {
  kind: 'verdict';
  at: string;
  state: State;
  driftTotal: number;
  /** SHA-256 over the findings shown, in canonical JSON, so that the verdict in a report can be held against it. */
  drift: Sha256;
  /** Code of the reason; empty where there is none. */
  reason: string;
};

/**
 * Events in one log at most. A machine's verdict changes a handful of times in one boot; after this the log takes
 * no more, which loses nothing: what is drifted stays so.
 */
export const MAX_TPM_EVENTS = 256;

/** PCR that the agent extends unless told otherwise: free for the operating system's use, and not resettable. */
export const DEFAULT_PCR = 15;

const eventShape: Reader<TpmEvent> = (value, path, problems) => {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
  return kind === 'release' ? releaseShape(value, path, problems) : verdictShape(value, path, problems);
};
const releaseShape: Reader<ReleaseEvent> = record({ kind: oneOf('release'), at: moment, release: digest });
const verdictShape: Reader<VerdictEvent> = record({
  kind: oneOf('verdict'),
  at: moment,
  state: oneOf(...STATES),
  driftTotal: whole(),
  drift: digest,
  reason: text({ min: 0, max: 256 }),
});

/** Reads a log. An entry is what its digest is over, so a field that is not known is refused. */
export const eventLogShape: Reader<TpmEvent[]> = list(eventShape, { max: MAX_TPM_EVENTS });

/** What is extended for an event: SHA-256 of its canonical JSON. */
export function eventDigest(event: TpmEvent): Sha256 {
  return sha256(canonicalJson(event));
}

/** The event of a verdict. */
export function verdictEvent(verdict: Verdict, at: string): VerdictEvent {
  return {
    kind: 'verdict',
    at,
    state: verdict.state,
    driftTotal: verdict.driftTotal,
    drift: sha256(canonicalJson(verdict.drift)),
    reason: verdict.reason?.code ?? '',
  };
}

/** The value of a PCR of the SHA-256 bank after a log, from zero (TPM 2.0 Part 1, "Extend of a PCR"). */
export function replayLog(events: readonly TpmEvent[]): Sha256 {
  let value = Buffer.alloc(32);
  for (const event of events) {
    value = createHash('sha256')
      .update(value)
      .update(Buffer.from(eventDigest(event), 'hex'))
      .digest();
  }
  return value.toString('hex') as Sha256;
}

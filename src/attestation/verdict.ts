import type { Finding } from '../base/finding.ts';
import { FINDING_KINDS } from '../base/finding.ts';
import type { ReleaseId } from '../base/release-id.ts';
import {
  type Reader,
  digest,
  list,
  moment,
  number,
  oneOf,
  optional,
  record,
  text,
  whole,
} from '../base/shape.ts';

/** The states of an instance. `drifted` and `refused` are latched: only a reboot leaves them. */
export const STATES = ['starting', 'measuring', 'trusted', 'drifted', 'refused'] as const;
export type State = (typeof STATES)[number];

/** How far the check can be believed: see docs/threat-model.md. */
export type Assurance = 'hardware' | 'cloud' | 'software';

/** Why a state is `refused`, or what made it `drifted` where no path is to blame. */
export type VerdictReason = { code: string; message: string };

/** What the measuring half says about the machine: the one fact everything on the host turns on. */
export type Verdict = {
  state: State;
  /** When the state was entered: RFC 3339, UTC. */
  since: string;
  /** Absent until a bundle has been verified. */
  release?: ReleaseId;
  /** The last whole measurement: files and bytes read, seconds it took. Absent before the first ended. */
  measured?: { files: number; bytes: number; seconds: number };
  /** The first findings, at most `MAX_DRIFT_SHOWN`. */
  drift: Finding[];
  /** All findings, shown or not. */
  driftTotal: number;
  /** Set in `refused`, and in `drifted` after a restart under a latch. */
  reason?: VerdictReason;
  assurance: Assurance;
};

/** Findings that a verdict carries; the rest is counted. */
export const MAX_DRIFT_SHOWN = 100;

const words = text({ min: 0, max: 65_536 });

const findingShape: Reader<Finding> = record({
  path: text({ max: 65_536 }),
  pathBase64: optional(text({ max: 65_536 })),
  kind: oneOf(...FINDING_KINDS),
  expected: words,
  actual: words,
  at: moment,
});

/** Reads the release that a verdict, a decision or a report names. */
export const releaseIdShape: Reader<ReleaseId> = record({
  name: text({ max: 256 }),
  version: text({ max: 256 }),
  sequence: whole(),
  environment: text({ max: 256 }),
  commit: text({ max: 256 }),
  digest,
});

/** Reads a verdict that came over a socket or in a report. */
export const verdictShape: Reader<Verdict> = record({
  state: oneOf(...STATES),
  since: moment,
  release: optional(releaseIdShape),
  measured: optional(record({ files: whole(), bytes: whole(), seconds: number(0, 1e9) })),
  drift: list(findingShape, { max: MAX_DRIFT_SHOWN }),
  driftTotal: whole(),
  reason: optional(record({ code: text({ max: 256 }), message: words })),
  assurance: oneOf('hardware', 'cloud', 'software'),
});

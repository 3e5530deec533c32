import type { Finding } from '../base/finding.ts';
import { FINDING_KINDS } from '../base/finding.ts';
import type { ReleaseId } from '../base/release-id.ts';
import {
  type Reader,
  bool,
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
import { type MountCoverage, mountCoverageReader } from './mount-state.ts';

/** The states of an instance. `drifted` and `refused` are latched: only a reboot leaves them. */
export const STATES = ['starting', 'measuring', 'trusted', 'drifted', 'refused'] as const;
export type State = (typeof STATES)[number];

/** How far the check can be believed: see docs/threat-model.md. */
export type Assurance = 'hardware' | 'cloud' | 'software';

/** Why a state is `refused`, or what made it `drifted` where no path is to blame. */
export type VerdictReason = { code: string; message: string };

/**
 * How the tree is looked at while the agent runs, for people and monitoring: nothing is decided by it. Each part
 * is absent until its tier has said something.
 */
export type Coverage = {
  /** What the measured tree is read through. */
  mounts?: MountCoverage;
  /**
   * Files for which the release holds an fs-verity digest, and those of them that the kernel vouched for in the last
   * whole check: their content was not read. Absent where the release holds none.
   */
  fsVerity?: { recorded: number; vouched: number };
  /** Read once, after the first whole check. Absent where the kernel keeps no list or the agent may not read it. */
  ima?: ImaState;
  rehash?: {
    /** What the release asks for. */
    everyHours: number;
    corePercent: number;
    /** The pass that is under way: when it began, RFC 3339 in UTC, and how far it is, from 0 to 1. */
    startedAt: string;
    done: number;
    /** Bytes read by this process so, and those of them that were read with O_DIRECT. */
    bytes: number;
    direct: number;
    /** The last full pass: when it ended, and how long it took. */
    lastFullRehash?: string;
    seconds?: number;
  };
  watch?: {
    /** Directories that are watched, and those that should be. Where they differ, `error` says why (ENOSPC …). */
    held: number;
    wanted: number;
    error?: string;
    /** Events seen, and how often the kernel's queue overflowed. */
    events: number;
    overflows: number;
  };
  sweep?: {
    /** Seconds from one look at an entry to the next: the setting, or less where watches are missing. */
    everySeconds: number;
    /** When the last sweep ended, RFC 3339 in UTC, and how long it took, its pauses included. */
    endedAt?: string;
    seconds?: number;
    /** Sweeps at once, because of something that was or could have been missed. */
    immediate: number;
  };
};

/** The kernel's list of what was opened and run (IMA), as it was at one moment. */
export type ImaState = {
  /** When it was read: RFC 3339 in UTC. */
  at: string;
  /** How much of `binary_runtime_measurements` was read, from its start, and the SHA-256 of that. */
  bytes: number;
  digest: string;
  /** Whether that was all of it then; a list of more than 16 MiB is not read further. */
  whole: boolean;
};

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
  /** Absent before a tier has said something. */
  coverage?: Coverage;
  /** Set in `refused`, and in `drifted` after a restart under a latch. */
  reason?: VerdictReason;
  assurance: Assurance;
};

/** Findings that a verdict carries; the rest is counted. */
export const MAX_DRIFT_SHOWN = 100;

const words = text({ min: 0, max: 65_536 });

/** Reads the release that a verdict or a decision names. */
export const releaseIdShape: Reader<ReleaseId> = releaseIdReader({ open: false });

/** Reads the release that a report names: see `reportedVerdictShape`. */
export const reportedReleaseShape: Reader<ReleaseId> = releaseIdReader({ open: true });

/** Reads a verdict that came over a socket: both ends are one version, so an unknown field is a fault. */
export const verdictShape: Reader<Verdict> = verdictReader({ open: false });

/**
 * Reads a verdict in a report: fields that are not known are ignored, since an agent may be newer than the
 * collector that reads it. None of them can make a verdict better than its `state`.
 */
export const reportedVerdictShape: Reader<Verdict> = verdictReader({ open: true });

function coverageReader(options: { open: boolean }): Reader<Coverage> {
  return record(
    {
      mounts: optional(mountCoverageReader(options)),
      ima: optional(record({ at: moment, bytes: whole(), digest, whole: bool }, options)),
      fsVerity: optional(record({ recorded: whole(), vouched: whole() }, options)),
      rehash: optional(
        record(
          {
            everyHours: number(0, 1e6),
            corePercent: number(0, 100),
            startedAt: moment,
            done: number(0, 1),
            bytes: whole(),
            direct: whole(),
            lastFullRehash: optional(moment),
            seconds: optional(number(0, 1e9)),
          },
          options,
        ),
      ),
      watch: optional(
        record(
          {
            held: whole(),
            wanted: whole(),
            error: optional(text({ max: 64 })),
            events: whole(),
            overflows: whole(),
          },
          options,
        ),
      ),
      sweep: optional(
        record(
          {
            everySeconds: number(0, 1e9),
            endedAt: optional(moment),
            seconds: optional(number(0, 1e9)),
            immediate: whole(),
          },
          options,
        ),
      ),
    },
    options,
  );
}

function releaseIdReader(options: { open: boolean }): Reader<ReleaseId> {
  return record(
    {
      name: text({ max: 256 }),
      version: text({ max: 256 }),
      sequence: whole(),
      environment: text({ max: 256 }),
      commit: text({ max: 256 }),
      digest,
    },
    options,
  );
}

function verdictReader(options: { open: boolean }): Reader<Verdict> {
  const finding: Reader<Finding> = record(
    {
      path: text({ max: 65_536 }),
      pathBase64: optional(text({ max: 65_536 })),
      kind: oneOf(...FINDING_KINDS),
      expected: words,
      actual: words,
      at: moment,
    },
    options,
  );
  return record(
    {
      state: oneOf(...STATES),
      since: moment,
      release: optional(releaseIdReader(options)),
      measured: optional(record({ files: whole(), bytes: whole(), seconds: number(0, 1e9) }, options)),
      drift: list(finding, { max: MAX_DRIFT_SHOWN }),
      driftTotal: whole(),
      coverage: optional(coverageReader(options)),
      reason: optional(record({ code: text({ max: 256 }), message: words }, options)),
      assurance: oneOf('hardware', 'cloud', 'software'),
    },
    options,
  );
}

import type { ChainLink } from '../attestation/chain.ts';
import type { State } from '../attestation/verdict.ts';
import type { Sha256 } from '../base/digest.ts';
import type { Summary } from './summary.ts';

/** A host as the collector knows it. Times are milliseconds since 1970 by the collector's clock. */
export type HostRow = {
  id: Sha256;
  firstSeen: number;
  lastSeen: number;
  /** The last report that was accepted. */
  last: ChainLink;
  /** What the last answer gave, and when. */
  nonce: string;
  nonceAt: number;
  /** Whether the last report was made since the answer before it: see `isFresh`. */
  fresh: boolean;
  summary: Summary;
  /** When a fork was last refused; undefined where there never was one. */
  forkedAt: number | undefined;
  /** Other flags, of the day before it was last heard: those that its own reports gave rise to, and nobody else can. */
  flagged: ('gap' | 'log')[];
};

/** A report as kept, without its body. */
export type ReportRow = {
  seq: number;
  digest: Sha256;
  receivedAt: number;
  createdAt: string;
  fresh: boolean;
  /** Reports before this one that never came. */
  missed: number;
  /** Whether something changed with it: state, release, boot or findings, or reports were missed. */
  turn: boolean;
  state: State;
  driftTotal: number;
  /** In words: name and version. */
  release: string | undefined;
  bootId: string;
  bytes: number;
};

/** Something about a host that the operator should know, besides what it reports. */
export type Flag = {
  /** `fork` and `gap` as in `checkChain`; `key`: a refused report claimed to be from this
   * host; `log`: the decision log is not the one that was there before. */
  kind: 'fork' | 'gap' | 'key' | 'log';
  /** Tells two flags of a kind apart: a digest, a number, or nothing. */
  ref: string;
  seq: number | undefined;
  detail: string;
};
export type FlagRow = Flag & { firstAt: number; lastAt: number; count: number };

/** A key that was enrolled: its name in hexadecimal, and why its endorsement can't be believed; empty where it can. */
export type TpmKey = { host: Sha256; name: string; problem: string };

// The columns as the schema declares them (STRICT tables): what this program wrote, it may read back.
export type HostColumns = {
  id: Sha256;
  first_seen: number;
  last_seen: number;
  seq: number;
  digest: Sha256;
  nonce: string;
  nonce_at: number;
  fresh: number;
  summary: string;
  forked_at: number | null;
  flagged: string | null;
};
export type ReportColumns = {
  seq: number;
  digest: Sha256;
  received_at: number;
  created_at: string;
  fresh: number;
  missed: number;
  turn: number;
  state: State;
  drift_total: number;
  release: string | null;
  boot_id: string;
  bytes: number;
};
export type FlagColumns = {
  kind: Flag['kind'];
  ref: string;
  seq: number | null;
  first_at: number;
  last_at: number;
  count: number;
  detail: string;
};

/** A row as the rest of the room reads it. */
export function hostOf(row: HostColumns): HostRow {
  return {
    id: row.id,
    firstSeen: row.first_seen,
    lastSeen: row.last_seen,
    last: { seq: row.seq, digest: row.digest },
    nonce: row.nonce,
    nonceAt: row.nonce_at,
    fresh: row.fresh === 1,
    summary: JSON.parse(row.summary) as Summary,
    forkedAt: row.forked_at ?? undefined,
    flagged: (row.flagged?.split(',') ?? []).toSorted() as HostRow['flagged'],
  };
}

/** A row as the rest of the room reads it. */
export function reportOf(row: ReportColumns): ReportRow {
  return {
    seq: row.seq,
    digest: row.digest,
    receivedAt: row.received_at,
    createdAt: row.created_at,
    fresh: row.fresh === 1,
    missed: row.missed,
    turn: row.turn === 1,
    state: row.state,
    driftTotal: row.drift_total,
    release: row.release ?? undefined,
    bootId: row.boot_id,
    bytes: row.bytes,
  };
}

/** A row as the rest of the room reads it. */
export function flagOf(row: FlagColumns): FlagRow {
  return {
    kind: row.kind,
    ref: row.ref,
    seq: row.seq ?? undefined,
    firstAt: row.first_at,
    lastAt: row.last_at,
    count: row.count,
    detail: row.detail,
  };
}

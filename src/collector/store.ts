import type { DatabaseSync, StatementSync } from 'node:sqlite';

import type { Sha256 } from '../base/digest.ts';
import {
  type Flag,
  type FlagColumns,
  type FlagRow,
  type HostColumns,
  type HostRow,
  type ReportColumns,
  type ReportRow,
  type TpmKey,
  flagOf,
  hostOf,
  reportOf,
} from './rows.ts';

/**
 * Kept of each host: the newest reports with which something changed, and the newest of the others (four
 * hours at one a minute), this many of each; so a quiet week does not push out how a machine came to drift.
 */
export const KEPT_REPORTS = 240;
/** Bytes of report bodies kept of one host at most; the oldest go first, the newest always stays. */
export const KEPT_BYTES: number = 32 * 1024 * 1024;
/** Flags of one kind kept of one host at most: the newest. */
export const KEPT_FLAGS = 200;

/** The collector's memory. All calls are synchronous; each one is one transaction unless inside `transaction`. */
export type Store = {
  /** Runs `work` so that all of it is on disk when this returns, or none of it where it throws. */
  transaction: <T>(work: () => T) => T;
  host: (id: Sha256) => HostRow | undefined;
  hosts: () => HostRow[];
  countHosts: () => number;
  digestAt: (host: Sha256, seq: number) => Sha256 | undefined;
  /** Keeps a report and makes it its host's last one; what is beyond the bounds goes. */
  keep: (
    host: Omit<HostRow, 'forkedAt' | 'flagged' | 'firstSeen'>,
    report: ReportRow,
    body: Uint8Array,
  ) => void;
  flag: (host: Sha256, flag: Flag, at: number) => void;
  /** Newest first. */
  reports: (host: Sha256) => ReportRow[];
  flags: (host: Sha256) => FlagRow[];
  body: (digest: Sha256) => Buffer | undefined;
  /** The TPM key that was enrolled for a host. */
  tpmKey: (host: Sha256) => TpmKey | undefined;
  keepTpmKey: (key: TpmKey, at: number) => void;
  /** Removes hosts not heard since `before`, whole; how many. */
  forget: (before: number) => number;
  close: () => void;
};

const HOST_COLUMNS = `h.id, h.first_seen, h.last_seen, h.seq, h.digest, h.nonce, h.nonce_at, h.fresh, h.summary,
  (SELECT max(f.last_at) FROM flags f WHERE f.host = h.id AND f.kind = 'fork') AS forked_at,
  (SELECT group_concat(DISTINCT f.kind) FROM flags f
    WHERE f.host = h.id AND f.kind IN ('gap', 'log') AND f.last_at > h.last_seen - 86400000) AS flagged`;
const REPORT_COLUMNS =
  'seq, digest, received_at, created_at, fresh, missed, turn, state, drift_total, release, boot_id, bytes';

/** The store over a database that `openStore` prepared. */
export function createStore(db: DatabaseSync): Store {
  const sql = {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    host: db.prepare(`SELECT ${HOST_COLUMNS} FROM hosts h WHERE h.id = ?`),
    hosts: db.prepare(`SELECT ${HOST_COLUMNS} FROM hosts h`),
    countHosts: db.prepare('SELECT count(*) AS n FROM hosts'),
    digestAt: db.prepare('SELECT digest FROM reports WHERE host = ? AND seq = ?'),
    putHost: db.prepare(`INSERT INTO hosts
      (id, first_seen, last_seen, seq, digest, nonce, nonce_at, fresh, kept_bytes, summary)
      VALUES ($id, $lastSeen, $lastSeen, $seq, $digest, $nonce, $nonceAt, $fresh, 0, $summary)
      ON CONFLICT (id) DO UPDATE SET last_seen = $lastSeen, seq = $seq, digest = $digest, nonce = $nonce,
        nonce_at = $nonceAt, fresh = $fresh, summary = $summary`),
    putReport: db.prepare(`INSERT INTO reports
      (host, seq, digest, received_at, created_at, fresh, missed, turn, state, drift_total, release, boot_id,
       bytes, body)
      VALUES ($host, $seq, $digest, $receivedAt, $createdAt, $fresh, $missed, $turn, $state, $driftTotal,
       $release, $bootId, $bytes, $body)`),
    prune: db.prepare(`DELETE FROM reports WHERE host = $host AND turn = $turn AND seq <= (
      SELECT seq FROM reports WHERE host = $host AND turn = $turn ORDER BY seq DESC LIMIT 1 OFFSET ${KEPT_REPORTS}
      ) RETURNING bytes`),
    pruneOldest: db.prepare(`DELETE FROM reports WHERE host = $host AND seq = (
      SELECT min(seq) FROM reports WHERE host = $host AND seq <> $newest) RETURNING bytes`),
    addBytes: db.prepare(
      'UPDATE hosts SET kept_bytes = kept_bytes + ? WHERE id = ? RETURNING kept_bytes AS bytes',
    ),
    flag: db.prepare(`INSERT INTO flags (host, kind, ref, seq, first_at, last_at, count, detail)
      VALUES ($host, $kind, $ref, $seq, $at, $at, 1, $detail)
      ON CONFLICT (host, kind, ref) DO UPDATE SET last_at = $at, count = count + 1, detail = $detail`),
    pruneFlags: db.prepare(`DELETE FROM flags WHERE rowid IN (SELECT rowid FROM flags
      WHERE host = $host AND kind = $kind ORDER BY last_at DESC, rowid DESC LIMIT -1 OFFSET ${KEPT_FLAGS})`),
    reports: db.prepare(`SELECT ${REPORT_COLUMNS} FROM reports WHERE host = ? ORDER BY seq DESC`),
    flags: db.prepare(
      'SELECT kind, ref, seq, first_at, last_at, count, detail FROM flags WHERE host = ? ORDER BY last_at DESC',
    ),
    body: db.prepare('SELECT body FROM reports WHERE digest = ?'),
    tpmKey: db.prepare('SELECT host, name, problem FROM tpm_keys WHERE host = ?'),
    keepTpmKey: db.prepare(`INSERT INTO tpm_keys (host, name, problem, enrolled_at)
      VALUES ($host, $name, $problem, $at)
      ON CONFLICT (host) DO UPDATE SET name = $name, problem = $problem, enrolled_at = $at`),
    forget: db.prepare('DELETE FROM hosts WHERE last_seen < ?'),
  };

  const transaction = <T>(work: () => T): T => {
    sql.begin.run();
    try {
      const result = work();
      sql.commit.run();
      return result;
    } catch (cause) {
      // SQLite rolls back by itself on some errors (a full disk); a second rollback would hide the first.
      if (db.isTransaction) sql.rollback.run();
      throw cause;
    }
  };

  const prune = (host: Sha256, report: ReportRow): void => {
    const gone = sql.prune.all({ host, turn: Number(report.turn) });
    let kept = bytesOf(sql.addBytes, report.bytes - total(gone), host);
    while (kept > KEPT_BYTES) {
      const oldest = sql.pruneOldest.all({ host, newest: report.seq });
      if (oldest.length === 0) return;
      kept = bytesOf(sql.addBytes, -total(oldest), host);
    }
  };

  return {
    transaction,
    host: (id) => {
      const row = sql.host.get(id);
      return row === undefined ? undefined : hostOf(row as HostColumns);
    },
    hosts: () => sql.hosts.all().map((row) => hostOf(row as HostColumns)),
    countHosts: () => Number(sql.countHosts.get()?.['n']),
    digestAt: (host, seq) => sql.digestAt.get(host, seq)?.['digest'] as Sha256 | undefined,
    keep: (host, report, body) => {
      sql.putHost.run({
        id: host.id,
        lastSeen: host.lastSeen,
        seq: host.last.seq,
        digest: host.last.digest,
        nonce: host.nonce,
        nonceAt: host.nonceAt,
        fresh: Number(host.fresh),
        summary: JSON.stringify(host.summary),
      });
      const { release = null, fresh, turn, ...plain } = report;
      sql.putReport.run({ ...plain, host: host.id, release, fresh: Number(fresh), turn: Number(turn), body });
      prune(host.id, report);
    },
    flag: (host, flag, at) => {
      sql.flag.run({ ...flag, host, seq: flag.seq ?? null, at });
      sql.pruneFlags.run({ host, kind: flag.kind });
    },
    reports: (host) => sql.reports.all(host).map((row) => reportOf(row as ReportColumns)),
    flags: (host) => sql.flags.all(host).map((row) => flagOf(row as FlagColumns)),
    body: (digest) => {
      const body = sql.body.get(digest)?.['body'];
      return body instanceof Uint8Array ? Buffer.from(body) : undefined;
    },
    tpmKey: (host) => sql.tpmKey.get(host) as TpmKey | undefined,
    keepTpmKey: (key, at) => void sql.keepTpmKey.run({ ...key, at }),
    forget: (before) => Number(sql.forget.run(before).changes),
    close: () => {
      if (db.isOpen) db.close();
    },
  };
}

function bytesOf(statement: StatementSync, ...values: (number | string)[]): number {
  return Number(statement.get(...values)?.['bytes'] ?? 0);
}

function total(rows: Record<string, unknown>[]): number {
  return rows.reduce((sum, row) => sum + Number(row['bytes']), 0);
}

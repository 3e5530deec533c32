import { AttestationError } from '../attestation/attestation-error.ts';
import { type ChainPlace, checkChain } from '../attestation/chain.ts';
import { type VerifiedReport, verifyReport } from '../attestation/report.ts';
import { type Sha256, isSha256, sha256 } from '../base/digest.ts';
import { CodedError, messageOf } from '../base/errors.ts';
import type { ReleaseId } from '../base/release-id.ts';
import type { Log } from '../host/log/log.ts';
import { CollectorError } from './collector-error.ts';
import type { Flag, HostRow, ReportRow } from './rows.ts';
import type { Registered } from './registered.ts';
import type { CollectorSettings } from './settings.ts';
import type { Store } from './store.ts';
import type { TpmKey } from './rows.ts';
import { logTurn } from './log-turn.ts';
import { summarize } from './summary.ts';
import { vouch } from './vouching.ts';

/** What the host is told: contracts.md "Report". */
export type IngestAnswer = {
  /** Whether these bytes are new here: 201, else 200. */
  created: boolean;
  /** Goes into the host's next report and proves that it was made after this answer. */
  nonce: string;
  nextReportSeconds: number;
  /** Set where the report carries evidence of a TPM that is not known here: the host should enrol it. */
  enrol?: true;
};

export type IngestDependencies = {
  store: Store;
  settings: CollectorSettings;
  registered: Registered;
  log: Log;
  /** A new random nonce; at least 128 bits, of the characters `A-Za-z0-9_-`. */
  makeNonce: () => string;
};

/** A flag of a kind that anyone can cause is written at most this often a host, to spare the disk. */
const KEY_FLAG_MILLISECONDS = 60_000;

/**
 * Takes in one report: `PUT /v1/reports/<name>` with `body`. The steps, in this order; each stops the rest:
 *
 * 1. `name` is the SHA-256 of the body;
 * 2. the report verifies (`verifyReport`);
 * 3. in one transaction: its place in the host's chain is found, and it is kept, or flagged.
 *
 * When this returns, the report is on disk. The same bytes again give the same answer and change nothing.
 * @param at the collector's time of arrival, fixed once a request
 * @throws AttestationError; CollectorError `path-invalid`, `digest-mismatch`, `report-fork`, `report-stale`,
 * `hosts-full`, `database-failed`
 */
export function ingestReport(
  { store, settings, registered, log, makeNonce }: IngestDependencies,
  name: string,
  body: Buffer,
  at: Date,
): IngestAnswer {
  requireDigest(name, body);
  const report = verifyOrFlag(store, body, at);
  const now = at.getTime();
  const outcome = storing(() =>
    store.transaction(() => {
      const host = store.host(report.host.id);
      const place = checkChain(host?.last, report, store.digestAt(report.host.id, report.seq));
      switch (place.kind) {
        case 'first':
        case 'next':
        case 'gap': {
          if (host === undefined && store.countHosts() >= settings.maxHosts) return { place, full: true };
          const nonce = makeNonce();
          const key = store.tpmKey(report.host.id);
          keepReport(store, { report, body, host, place, nonce, now, settings, registered, key });
          return { place, host, nonce, enrol: report.tpm !== undefined && key === undefined };
        }
        case 'fork':
          // Committed although the report is refused: the flag must outlive the answer.
          store.flag(report.host.id, forkFlag(report, place.reason), now);
          return { place };
        case 'duplicate':
          return { place, nonce: host?.nonce };
        case 'stale':
          return { place };
      }
    }),
  );
  logOutcome(log, report, outcome.place, outcome.host);
  if (outcome.full === true) throw hostsFull(settings.maxHosts);
  if (outcome.place.kind === 'fork') throw forkError(report, outcome.place.reason);
  if (outcome.nonce === undefined) throw staleError(report);
  return {
    created: outcome.place.kind !== 'duplicate',
    nonce: outcome.nonce,
    nextReportSeconds: settings.intervalSeconds,
    ...(outcome.enrol === true ? { enrol: true } : {}),
  };
}

/**
 * Whether a report proves that it was made lately, whatever its host's clock says: it carries the nonce of
 * the last answer, and that answer is at most three intervals old. A report that waited in a spool is not.
 */
export function isFresh(
  nonce: string | null,
  host: Pick<HostRow, 'nonce' | 'nonceAt'> | undefined,
  now: number,
  intervalSeconds: number,
): boolean {
  return host !== undefined && nonce === host.nonce && now - host.nonceAt <= 3 * intervalSeconds * 1000;
}

function requireDigest(name: string, body: Buffer): void {
  if (!isSha256(name)) {
    throw new CollectorError(
      'path-invalid',
      'the path must end with the SHA-256 of the body in lower-case hexadecimal',
    );
  }
  const digest = sha256(body);
  if (digest !== name) {
    throw new CollectorError(
      'digest-mismatch',
      `the body's SHA-256 is ${digest}, but the path says ${name}: it was changed on its way`,
    );
  }
}

function verifyOrFlag(store: Store, body: Buffer, at: Date): VerifiedReport {
  try {
    return verifyReport(body);
  } catch (cause) {
    if (cause instanceof AttestationError && cause.claimedHost !== undefined) {
      const claimed = cause.claimedHost;
      // The claim is unproved: it is noted at a host that exists, and never changes what is known of it.
      storing(() => flagKeyTrouble(store, claimed, cause, at.getTime()));
    }
    throw cause;
  }
}

function flagKeyTrouble(store: Store, host: Sha256, cause: AttestationError, now: number): void {
  if (store.host(host) === undefined) return;
  const last = store.flags(host).find((flag) => flag.kind === 'key');
  if (last !== undefined && now - last.lastAt < KEY_FLAG_MILLISECONDS) return;
  const detail = `${cause.code}: ${cause.message}`;
  store.flag(
    host,
    { kind: 'key', ref: '', seq: undefined, detail: detail.slice(0, 1000).toWellFormed() },
    now,
  );
}

type Keeping = {
  report: VerifiedReport;
  body: Buffer;
  host: HostRow | undefined;
  place: Extract<ChainPlace, { kind: 'first' | 'next' | 'gap' }>;
  nonce: string;
  now: number;
  settings: CollectorSettings;
  registered: Registered;
  key: TpmKey | undefined;
};

function keepReport(store: Store, keeping: Keeping): void {
  const { report, body, host, place, nonce, now, settings } = keeping;
  const { seq, digest, bootId, createdAt, verdict } = report;
  const missed = place.kind === 'next' ? 0 : place.missed;
  const fresh = isFresh(report.nonce, host, now, settings.intervalSeconds);
  const row: ReportRow = {
    seq,
    digest,
    receivedAt: now,
    createdAt,
    fresh,
    missed,
    turn: place.kind !== 'next' || host === undefined || isTurn(host, report),
    state: verdict.state,
    driftTotal: verdict.driftTotal,
    release: report.release && releaseWords(report.release),
    bootId,
    bytes: body.length,
  };
  const last = { seq, digest };
  const known = host?.summary.decisionLog;
  const summary = {
    // A log that a report does not name (its disk failed, say) is not forgotten for it.
    ...(known === undefined ? {} : { decisionLog: known }),
    ...summarize(report, vouch(report, fresh, host, keeping.key, keeping.registered)),
  };
  store.keep({ id: report.host.id, lastSeen: now, last, nonce, nonceAt: now, fresh, summary }, row, body);
  if (place.kind === 'gap') store.flag(report.host.id, gapFlag(report, place.missed), now);
  const turned = logTurn(host?.summary, report, digest);
  if (turned !== undefined) store.flag(report.host.id, turned, now);
}

function isTurn({ summary }: HostRow, report: VerifiedReport): boolean {
  return (
    summary.verdict.state !== report.verdict.state ||
    summary.verdict.driftTotal !== report.verdict.driftTotal ||
    summary.bootId !== report.bootId ||
    summary.release?.digest !== report.release?.digest
  );
}

function releaseWords(release: ReleaseId): string {
  return `${release.name} ${release.version}`;
}

function forkFlag(report: VerifiedReport, reason: 'seq-reused' | 'previous-mismatch'): Flag {
  const detail =
    reason === 'seq-reused'
      ? `another report with the number ${report.seq}, validly signed`
      : `report ${report.seq} does not follow the last one, though validly signed`;
  return { kind: 'fork', ref: report.digest, seq: report.seq, detail };
}

function gapFlag(report: VerifiedReport, missed: number): Flag {
  const dropped = report.spool?.dropped ?? 0;
  const said = dropped > 0 ? `; the host says that it dropped ${dropped} so far` : '';
  const detail = `${missed} before report ${report.seq} never came${said}`;
  return { kind: 'gap', ref: String(report.seq), seq: report.seq, detail };
}

function forkError(report: VerifiedReport, reason: 'seq-reused' | 'previous-mismatch'): CollectorError {
  const why =
    reason === 'seq-reused'
      ? `another report with the number ${report.seq} was accepted before`
      : `it does not follow the last report that was accepted`;
  return new CollectorError('report-fork', `report ${report.seq} of host ${report.host.id}: ${why}`, {
    hint: "The host's key is on two machines, or its disk was set back. Give the machine a new key.",
  });
}

function staleError(report: VerifiedReport): CollectorError {
  return new CollectorError(
    'report-stale',
    `report ${report.seq} of host ${report.host.id} is older than what is kept of this host`,
  );
}

function hostsFull(max: number): CollectorError {
  return new CollectorError('hosts-full', `${max} hosts are known here already; no new one is taken in`, {
    hint: 'Hosts that are not heard for 30 days are removed by themselves.',
  });
}

/** A fault of the database is this collector's, not the report's: 503, and the host tries again. */
function storing<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw new CollectorError('database-failed', `the report could not be kept: ${messageOf(cause)}`, {
      cause,
      hint: 'Is the disk full, or read-only?',
    });
  }
}

function logOutcome(log: Log, report: VerifiedReport, place: ChainPlace, before: HostRow | undefined): void {
  const { state } = report.verdict;
  const fields = { host: report.host.id, seq: report.seq };
  switch (place.kind) {
    case 'duplicate':
    case 'stale':
      return;
    case 'fork':
      log.error({ ...fields, code: 'report-fork' }, "two histories were signed with one host's key");
      return;
    case 'gap':
      log.warn({ ...fields, code: 'report-gap' }, `${place.missed} reports of a host are missing`);
      break;
    case 'first':
      log.info({ ...fields, code: 'host-new' }, 'a host reports for the first time');
      break;
    case 'next':
      break;
  }
  if (before?.summary.verdict.state === state) return;
  const { driftTotal } = report.verdict;
  const level = state === 'drifted' || state === 'refused' ? 'warn' : 'info';
  log[level]({ ...fields, code: `host-${state}`, driftTotal }, `a host is ${state}`);
}

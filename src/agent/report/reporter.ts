import type { LogHead } from '../../attestation/log-line.ts';
import { addEvidence, buildReport, signReport } from '../../attestation/report.ts';
import type { Words } from '../../attestation/statement.ts';
import type { Verdict } from '../../attestation/verdict.ts';
import type { PrivateKey } from '../../base/ed25519.ts';
import { messageOf } from '../../base/errors.ts';
import { readBootId } from '../../host/kernel/boot-id.ts';
import { readFileBounded } from '../../host/files.ts';
import { readHostFacts } from '../../host/host-facts.ts';
import { createHttpClient } from '../../host/net/http-client.ts';
import type { Log } from '../../host/log/log.ts';
import type { Tpm } from '../../host/tpm.ts';
import { createBackoff } from './backoff.ts';
import { loadHostKey } from './host-key.ts';
import type { ReportCounts } from '../metrics.ts';
import { type ReportKind, type ReportQueue, openReportQueue } from './report-queue.ts';
import { MAX_ANSWER_BYTES, sendReport } from './report-sender.ts';
import type { CollectorSettings } from '../settings.ts';
import { enrolTpm } from './tpm-enrol.ts';
import { type EvidenceOptions, takeEvidence } from './tpm-evidence.ts';

export type ReporterOptions = {
  collector: CollectorSettings;
  stateDirectory: string;
  labels: Words;
  log: Log;
  now: () => Date;
  /** The verdict that stands. */
  verdict: () => Verdict;
  /** Where the decision log stands, safe from a crash: a report must not say more than the disk has. */
  decisionLog: () => LogHead | undefined;
  /** The first and the longest wait between two attempts; jitter may shorten each. */
  retryMs?: { first: number; most: number };
  /** The machine's TPM, where the settings name one, and where its log is kept. */
  tpm?: { tpm: Tpm; pcr: number; runDirectory: string } | undefined;
};

export type Reporter = {
  /** Says that the verdict changed. */
  changed: (kind: 'change' | 'interval') => void;
  counts: () => ReportCounts;
  /**
   * Makes the reports that are due, gives them at most two seconds to go out, and stops; what waits stays on
   * disk for the next start. What ends an instance that drifted (a power-off, say) is often what drift started.
   */
  close: () => Promise<void>;
};

/** For one exchange with the collector, from connecting to the last byte. */
const SEND_TIMEOUT_MS = 20_000;
/** The longest interval that a collector may ask for. */
const MAX_INTERVAL_SECONDS = 3600;
/** After this a report that could not be written to disk is made anew. */
const REMAKE_MS = 5000;
const RETRY_MS = { first: 1000, most: 60_000 };
/** How long the last reports may take when the process is told to stop. */
const CLOSE_PATIENCE_MS = 2000;
/** PEM of a certificate authority, or a few. */
const MAX_CA_BYTES = 1024 * 1024;

/**
 * Makes signed reports at start, at every change and at intervals, keeps each on disk, and delivers them in
 * order. The collector, slow, wrong or away, has no way to change anything here but when the next report is
 * made.
 * @throws AgentError, BaseError, HostError where the host's key or queue can't be used
 */
export async function startReporter(options: ReporterOptions): Promise<Reporter> {
  const { collector, log, stateDirectory } = options;
  const key = await loadHostKey(stateDirectory);
  const queue = await openReportQueue(stateDirectory, key.publicKey.id);
  const ca = collector.ca === undefined ? undefined : await readAuthorities(collector.ca);
  const client = createHttpClient({ ca, timeoutMs: SEND_TIMEOUT_MS, maxAnswerBytes: MAX_ANSWER_BYTES });
  const fields = {
    host: { labels: options.labels, facts: await readHostFacts() },
    bootId: await readBootId(),
  };
  const { tpm } = options;
  const proofs = tpm && { ...tpm, bootId: fields.bootId, log };
  const counts = { sent: 0, failed: 0, refused: 0 };
  const stop = new AbortController();
  const backoff = createBackoff(options.retryMs ?? RETRY_MS, stop.signal);
  const timers = new Set<NodeJS.Timeout>();
  let nonce: string | null = null;
  // The nonce in the report made last.
  let madeWith: string | null = null;
  let intervalSeconds = collector.intervalSeconds;
  let making: Promise<void> = Promise.resolve();
  let underway = 0;
  let wake = Promise.withResolvers<void>();
  // Resolved where nothing waits, or the collector can't be reached.
  let idle = Promise.withResolvers<void>();

  const later = (ms: number, run: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, ms);
    timers.add(timer);
  };
  // One after another: a report names the digest of the one before.
  const make = (kind: ReportKind): void => {
    // Where making takes longer than the interval (a slow TPM), the next would begin before this one is delivered,
    // with an old nonce, and so for ever.
    if (kind === 'interval' && underway > 0) return;
    underway += 1;
    const verdict = options.verdict();
    const decisionLog = options.decisionLog();
    const stands = decisionLog === undefined ? {} : { decisionLog };
    making = making.then(async () => {
      try {
        if (stop.signal.aborted) return;
        madeWith = nonce;
        const createdAt = options.now().toISOString();
        await addReport(queue, key, kind, { ...fields, nonce, createdAt, verdict, ...stands }, proofs);
        wake.resolve();
      } catch (thrown) {
        log.error({ code: 'report-failed' }, `a report could not be made or kept: ${messageOf(thrown)}`);
        if (kind !== 'interval') later(REMAKE_MS, () => make(kind));
      } finally {
        underway -= 1;
      }
    });
  };
  const tick = (): void => {
    // Up to a tenth early or late, so that machines started together do not report together for ever.
    later(intervalSeconds * 1000 * (0.9 + Math.random() * 0.2), () => {
      make('interval');
      tick();
    });
  };

  const enrol = async (tpm: Tpm): Promise<boolean> => {
    try {
      const endorsement = await enrolTpm(tpm, key, client, collector.url, stop.signal);
      log.info(
        { code: 'tpm-enrolled', endorsement },
        `the collector knows this TPM: its maker is ${endorsement}`,
      );
      return true;
    } catch (thrown) {
      log.warn({ code: 'tpm-not-enrolled' }, `the TPM is not enrolled: ${messageOf(thrown)}`);
      return false;
    }
  };

  const deliver = async (): Promise<void> => {
    await backoff.pause(Math.random() * collector.splaySeconds * 1000);
    while (!stop.signal.aborted) {
      wake = Promise.withResolvers<void>();
      const next = await queue.next();
      if (next === undefined) {
        idle.resolve();
        await wake.promise;
        continue;
      }
      const { report, body } = next;
      const known = nonce;
      const outcome = await sendReport(client, collector.url, report, body, stop.signal);
      if (stop.signal.aborted) return;
      switch (outcome.kind) {
        case 'delivered':
          await queue.delivered(report);
          ({ nonce } = outcome);
          counts.sent += 1;
          intervalSeconds = Math.min(Math.max(outcome.nextReportSeconds, 1), MAX_INTERVAL_SECONDS);
          if (backoff.failures() > 0)
            log.info(
              { code: 'collector-reached', waiting: queue.waiting() },
              'the collector takes reports again',
            );
          backoff.reset();
          // Without the newest nonce no quote could be bound to the report's time: another one follows at once.
          if (tpm !== undefined && queue.waiting() === 0) {
            const isEnrolled = outcome.enrol === true && (await enrol(tpm.tpm));
            if (isEnrolled || madeWith === null || madeWith !== known) make('interval');
          }
          break;
        case 'refused':
          await queue.refused(report);
          counts.refused += 1;
          backoff.reset();
          log.error(
            { code: 'report-refused', reason: outcome.code, seq: report.seq },
            `the collector refused a report: ${outcome.message}`,
          );
          break;
        case 'failed':
          counts.failed += 1;
          idle.resolve();
          if (backoff.failures() === 0)
            log.warn(
              { code: 'collector-unreachable', waiting: queue.waiting() },
              `reports wait on disk: ${outcome.message}`,
            );
          await backoff.wait(outcome.retryAfterMs);
          break;
      }
    }
  };
  const lastChance = async (): Promise<void> => {
    idle = Promise.withResolvers();
    wake.resolve();
    const patience = setTimeout(() => idle.resolve(), CLOSE_PATIENCE_MS);
    await idle.promise;
    clearTimeout(patience);
  };
  const delivering = (async () => {
    while (!stop.signal.aborted) {
      try {
        await deliver();
      } catch (thrown) {
        log.error({ code: 'spool-failed' }, `the report spool: ${messageOf(thrown)}`);
        await backoff.wait(undefined);
      }
    }
  })();

  make('start');
  tick();
  return {
    changed: make,
    counts: () => ({ ...counts, dropped: queue.dropped(), spooled: queue.waiting() }),
    close: async () => {
      for (const timer of timers) clearTimeout(timer);
      await making;
      if (queue.waiting() > 0 && backoff.failures() === 0) await lastChance();
      stop.abort();
      wake.resolve();
      await delivering;
      await client.close();
    },
  };
}

type Fields = Pick<
  Parameters<typeof buildReport>[0],
  'host' | 'bootId' | 'nonce' | 'createdAt' | 'verdict' | 'decisionLog'
>;

async function addReport(
  queue: ReportQueue,
  key: PrivateKey,
  kind: ReportKind,
  fields: Fields,
  proofs: Proofs | undefined,
): Promise<void> {
  const last = queue.last();
  const seq = (last?.seq ?? 0) + 1;
  const { release } = fields.verdict;
  const dropped = queue.dropped();
  const statement = buildReport(
    {
      ...fields,
      seq,
      previous: last?.digest ?? null,
      ...(release === undefined ? {} : { release }),
      ...(dropped === 0 ? {} : { spool: { dropped } }),
    },
    key.publicKey,
  );
  await queue.add(kind, seq, signReport(await prove(statement, fields, proofs), key));
}

type Proofs = EvidenceOptions & { log: Log };

/** Adds what the TPM says; where it fails, the report goes out without: that it is missing tells enough. */
async function prove(
  statement: Buffer,
  { nonce, verdict }: Fields,
  proofs: Proofs | undefined,
): Promise<Buffer> {
  if (proofs === undefined || nonce === null) return statement;
  try {
    return addEvidence(statement, await takeEvidence(proofs, statement, nonce, verdict));
  } catch (thrown) {
    proofs.log.error(
      { code: 'tpm-failed' },
      `a report goes out without its TPM's word: ${messageOf(thrown)}`,
    );
    return statement;
  }
}

async function readAuthorities(path: string): Promise<string> {
  return (await readFileBounded(path, MAX_CA_BYTES, { follow: true })).toString('latin1');
}

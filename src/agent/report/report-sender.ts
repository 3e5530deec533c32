import { BaseError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { bool, number, optional, readShape, record, text } from '../../base/shape.ts';
import { HostError } from '../../host/host-error.ts';
import type { HttpAnswer, HttpClient } from '../../host/net/http-client.ts';
import { collectorUrl } from './collector-url.ts';
import type { QueuedReport } from './report-queue.ts';

/** What became of one attempt to deliver a report. */
export type SendOutcome =
  | { kind: 'delivered'; nonce: string; nextReportSeconds: number; enrol?: boolean }
  /** The collector looked at the report and will never take it. */
  | { kind: 'refused'; code: string; message: string }
  /** Not delivered, for a reason that may pass; not before `retryAfterMs` where the collector named a time. */
  | { kind: 'failed'; message: string; retryAfterMs: number | undefined };

/** Bytes of a collector's answer at most. */
export const MAX_ANSWER_BYTES = 65_536;
/** However long a collector asks to wait, it is asked again after this. */
const MAX_RETRY_AFTER_MS = 10 * 60_000;
/** A report that the collector refuses for one of these was damaged or misled on its way: it is sent again. */
const FAULTS_OF_THE_WAY: ReadonlySet<string> = new Set(['digest-mismatch', 'body-cut-off', 'not-found']);
/** Statuses by which a collector refuses a report itself. */
const REFUSALS: ReadonlySet<number> = new Set([400, 409, 413, 422]);

const acceptedShape = record(
  {
    nonce: text({ max: 128, pattern: /^[A-Za-z0-9_-]+$/, is: 'a nonce' }),
    nextReportSeconds: number(0, 1e9),
    enrol: optional(bool),
  },
  { open: true },
);
const errorShape = record(
  { error: record({ code: text({ max: 128 }), message: text({ max: 4096 }) }, { open: true }) },
  { open: true },
);

/**
 * Sends one report: `PUT <collector>/v1/reports/<sha256>` (contracts.md "Report"). Only an answer that is
 * unmistakably a collector's counts: 2xx with a nonce is a delivery, 400/409/413/422 with an error code a
 * refusal. All else (no answer, a redirect, a proxy's page, 401, 404, 429, 5xx) is a failure that may pass,
 * so that a wrong turn on the way loses no report.
 */
export async function sendReport(
  client: HttpClient,
  collector: URL,
  { digest }: Pick<QueuedReport, 'digest'>,
  body: Buffer,
  signal: AbortSignal,
): Promise<SendOutcome> {
  const url = collectorUrl(collector, `/v1/reports/${digest}`);
  let answer: HttpAnswer;
  try {
    answer = await client.put(url, body, 'application/json', signal);
  } catch (thrown) {
    if (!(thrown instanceof HostError)) throw thrown;
    return { kind: 'failed', message: thrown.message, retryAfterMs: undefined };
  }
  return outcomeOf(answer);
}

/** What an answer means; see `sendReport`. */
export function outcomeOf(answer: HttpAnswer): SendOutcome {
  if (answer.status >= 200 && answer.status < 300) {
    const accepted = readBody(acceptedShape, answer.body);
    if (accepted !== undefined) return { kind: 'delivered', ...accepted };
  }
  if (REFUSALS.has(answer.status)) {
    const refusal = readBody(errorShape, answer.body)?.error;
    if (refusal !== undefined && !FAULTS_OF_THE_WAY.has(refusal.code)) {
      return { kind: 'refused', code: refusal.code, message: refusal.message };
    }
  }
  return {
    kind: 'failed',
    message: `the collector answered ${answer.status}, not as a collector that took the report`,
    retryAfterMs: parseRetryAfter(answer.headers['retry-after']),
  };
}

/** Retry-After in seconds (RFC 9110 section 10.2.3), bounded; its form as a date is not used: clocks differ. */
function parseRetryAfter(header: string | string[] | undefined): number | undefined {
  if (typeof header !== 'string' || !/^[0-9]{1,9}$/.test(header)) return undefined;
  return Math.min(Number(header) * 1000, MAX_RETRY_AFTER_MS);
}

function readBody<T>(shape: Parameters<typeof readShape<T>>[0], body: Buffer): T | undefined {
  try {
    const value = parseJson(body, 'answer', { maxBytes: MAX_ANSWER_BYTES, maxDepth: 8 });
    return readShape(shape, value, 'answer');
  } catch (thrown) {
    if (thrown instanceof BaseError) return undefined;
    throw thrown;
  }
}

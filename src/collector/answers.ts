import { AttestationError } from '../attestation/attestation-error.ts';
import type { CodedError } from '../base/errors.ts';
import { CollectorError, type CollectorErrorCode } from './collector-error.ts';

/** Seconds after which a host may try again where the collector could not take its report. */
const RETRY_SECONDS = 10;

/** A JSON answer. Never cached: a stale state of the fleet shown as the present one is worse than none. */
export function jsonAnswer(status: number, value: unknown, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...headers,
    },
  });
}

/** An error as the API answers it: `{ error: { code, message, hint? } }`. */
export function errorAnswer(error: CodedError): Response {
  const status = statusOf(error);
  const { code, message, hint } = error;
  return jsonAnswer(
    status,
    { error: { code, message, ...(hint === undefined ? {} : { hint }) } },
    {
      ...(status === 503 ? { 'retry-after': String(RETRY_SECONDS) } : {}),
      // What the peer still sends of a body that nobody reads must not be taken for its next request.
      ...(status === 413 || code === 'body-cut-off' || code === 'overloaded' ? { connection: 'close' } : {}),
    },
  );
}

/** The HTTP status that fits an error. */
export function statusOf(error: CodedError): number {
  if (error instanceof AttestationError) return error.code === 'report-too-large' ? 413 : 400;
  return error instanceof CollectorError ? statusOfCode(error.code) : 500;
}

function statusOfCode(code: CollectorErrorCode): number {
  switch (code) {
    case 'path-invalid':
    case 'digest-mismatch':
    case 'tpm-secret-wrong':
    case 'body-cut-off':
      return 400;
    case 'body-too-large':
      return 413;
    case 'report-fork':
    case 'report-stale':
    case 'tpm-other-key':
      return 409;
    case 'not-found':
      return 404;
    case 'overloaded':
    case 'hosts-full':
    case 'database-failed':
      return 503;
    case 'settings-invalid':
    case 'database-unavailable':
    case 'database-in-use':
    case 'database-foreign':
    case 'database-newer':
      return 500;
  }
}

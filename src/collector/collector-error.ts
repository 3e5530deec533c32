import { CodedError } from '../base/errors.ts';

/** What the collector refuses or can't do. Stable: answers, metrics and tests switch on these words. */
export type CollectorErrorCode =
  | 'settings-invalid'
  | 'database-unavailable'
  | 'database-in-use'
  | 'database-foreign'
  | 'database-newer'
  | 'database-failed'
  | 'path-invalid'
  | 'body-too-large'
  | 'body-cut-off'
  | 'digest-mismatch'
  | 'report-fork'
  | 'report-stale'
  | 'hosts-full'
  | 'overloaded'
  | 'tpm-secret-wrong'
  | 'tpm-other-key'
  | 'not-found';

/** What collector/ throws. A report that meets one was not kept. */
export class CollectorError extends CodedError<CollectorErrorCode> {
  override readonly name = 'CollectorError';
}

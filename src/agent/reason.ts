import type { VerdictReason } from '../attestation/verdict.ts';
import { CodedError, messageOf } from '../base/errors.ts';

/** What was thrown as a reason that a verdict carries: its code, or `internal` for what has none. */
export function reasonOf(thrown: unknown): VerdictReason {
  return {
    code: thrown instanceof CodedError ? thrown.code : 'internal',
    message: messageOf(thrown),
  };
}

import type { Sha256 } from '../base/digest.ts';
import { BaseError, CodedError } from '../base/errors.ts';

/** Why a report is refused. Stable: the collector's answers, its metrics and tests switch on these words. */
export type AttestationErrorCode =
  | 'report-too-large'
  | 'envelope-malformed'
  | 'envelope-not-canonical'
  | 'payload-type-unknown'
  | 'statement-malformed'
  | 'format-unsupported'
  | 'host-key-invalid'
  | 'host-key-weak'
  | 'signature-invalid'
  | 'identity-mismatch'
  | 'tpm-malformed'
  | 'tpm-unsupported'
  | 'tpm-key-unfit'
  | 'tpm-signature-invalid'
  | 'tpm-certificate-invalid';

/** What attestation/ throws: the report is not used, no part of it. */
export class AttestationError extends CodedError<AttestationErrorCode> {
  override readonly name = 'AttestationError';
  /**
   * The host that the report claims to be from, where that could be read. Nothing vouches for it: anyone can
   * write any host's id into a report that is then refused.
   */
  readonly claimedHost: Sha256 | undefined;

  constructor(
    code: AttestationErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown; claimedHost?: Sha256 | undefined } = {},
  ) {
    super(code, message, options);
    this.claimedHost = options.claimedHost;
  }
}

/** Runs what reads bytes from outside; what base/ refuses of them is refused with `code`. */
export function refusingWith<T>(code: AttestationErrorCode, run: () => T, claimedHost?: Sha256): T {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new AttestationError(code, cause.message, { cause, claimedHost });
  }
}

import { CodedError } from '../base/errors.ts';

/** Why a bundle or a trust set is refused. Stable: monitoring and tests switch on these words. */
export type BundleErrorCode =
  | 'trust-malformed'
  | 'trust-key-invalid'
  | 'trust-key-weak'
  | 'trust-key-duplicate'
  | 'trust-threshold'
  | 'trust-pin-mismatch'
  | 'bundle-file-missing'
  | 'bundle-file-unexpected'
  | 'bundle-file-irregular'
  | 'bundle-file-too-large'
  | 'envelope-malformed'
  | 'payload-type-unknown'
  | 'unsigned'
  | 'threshold-not-met'
  | 'statement-malformed'
  | 'format-unsupported'
  | 'environment-mismatch'
  | 'sequence-too-old'
  | 'digest-mismatch';

/** What bundle/ throws: the bundle or the trust set is not used, no part of it. */
export class BundleError extends CodedError<BundleErrorCode> {
  override readonly name = 'BundleError';
}

import { CodedError } from '../base/errors.ts';

/** Why the pipeline's work stopped. */
export type ReleaseErrorCode =
  | 'repository-malformed'
  | 'repository-incomplete'
  | 'environment-unknown'
  | 'tests-too-many'
  | 'source-unknown'
  | 'source-date-invalid'
  | 'tests-failed'
  | 'engines-disagree'
  | 'output-in-image'
  | 'already-signed';

/** What release/ throws: nothing was written. */
export class ReleaseError extends CodedError<ReleaseErrorCode> {
  override readonly name = 'ReleaseError';
}

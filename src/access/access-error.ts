import { CodedError } from '../base/errors.ts';

/** Why the part of a release that says how requests are read, and who is asking, is refused. */
export type AccessErrorCode = 'access-invalid' | 'routes-ambiguous' | 'tests-invalid';

/** What access/ throws. */
export class AccessError extends CodedError<AccessErrorCode> {
  override readonly name = 'AccessError';
}

import { CodedError } from '../base/errors.ts';

/** Why a policy, its data or a request is refused. */
export type PolicyErrorCode =
  | 'policy-syntax'
  | 'policy-invalid'
  | 'policy-empty'
  | 'policy-no-permit'
  | 'policy-duplicate-id'
  | 'schema-syntax'
  | 'entities-invalid'
  | 'tests-invalid'
  | 'document-invalid'
  | 'document-too-large'
  | 'request-invalid';

/** What policy/ throws. */
export class PolicyError extends CodedError<PolicyErrorCode> {
  override readonly name = 'PolicyError';
}

/**
 * The parent of every error that a room throws on purpose.
 *
 * A room makes one subclass and a closed union of codes. The caller switches on `code`, which is stable
 * across versions; the user reads `message` (what was being done, with what) and `hint` (what to do).
 */
export abstract class CodedError<Code extends string = string> extends Error {
  readonly code: Code;
  /** One sentence that says what to do about it. */
  readonly hint: string | undefined;

  constructor(code: Code, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

export type BaseErrorCode =
  | 'json-invalid'
  | 'json-duplicate-key'
  | 'json-too-deep'
  | 'json-too-large'
  | 'yaml-invalid'
  | 'shape-invalid'
  | 'utf8-invalid'
  | 'base64-invalid'
  | 'digest-invalid'
  | 'key-invalid'
  | 'key-weak'
  | 'envelope-invalid';

/** What base/ throws when bytes are not what they claim to be. */
export class BaseError extends CodedError<BaseErrorCode> {
  override readonly name = 'BaseError';
}

/** The message of anything that was thrown, for a log line or a `cause` chain. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

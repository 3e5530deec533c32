import { CodedError } from '../base/errors.ts';

/** What can go wrong between this program and the machine. */
export type HostErrorCode =
  | 'not-found'
  | 'permission-denied'
  | 'already-exists'
  | 'not-a-file'
  | 'not-a-directory'
  | 'file-too-large'
  | 'tree-unreadable'
  | 'tree-changed'
  | 'absent-path-exists'
  | 'rule-unusable'
  | 'aborted'
  | 'address-invalid'
  | 'address-in-use'
  | 'directory-in-use'
  | 'unreachable'
  | 'timeout'
  | 'answer-malformed'
  | 'line-too-long'
  | 'tpm-failed'
  | 'io-failed';

/** What host/ throws when the machine does not do what was asked. */
export class HostError extends CodedError<HostErrorCode> {
  override readonly name = 'HostError';
}

/** The code of the system call's error, such as `ENOENT`, or the empty string. */
export function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}

/** A system call's error as a `HostError`: `doing` says what was being done, with what. */
export function hostErrorOf(doing: string, cause: unknown): HostError {
  if (cause instanceof HostError) return cause;
  const errno = errnoOf(cause);
  switch (errno) {
    case 'ENOENT':
      return new HostError('not-found', `${doing}: there is no such file or directory`, { cause });
    case 'EACCES':
    case 'EPERM':
      return new HostError('permission-denied', `${doing}: permission denied`, {
        cause,
        hint: 'Run it as a user who may, or mend the permissions.',
      });
    case 'EEXIST':
      return new HostError('already-exists', `${doing}: it exists already`, { cause });
    case 'ENOTDIR':
      return new HostError('not-a-directory', `${doing}: not a directory`, { cause });
    case 'ELOOP':
    case 'EISDIR':
      return new HostError('not-a-file', `${doing}: not a regular file`, { cause });
    case 'EADDRINUSE':
      return new HostError('address-in-use', `${doing}: the address is in use`, {
        cause,
        hint: 'Is another sealborn running with the same settings?',
      });
    default:
      return new HostError(
        'io-failed',
        `${doing}: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          cause,
        },
      );
  }
}

import { CodedError } from '../base/errors.ts';

/** Exit codes of every verb (docs/cli.md). Those from 64 up are the ones of sysexits.h. */
export const EXIT = {
  good: 0,
  /** Drift, a deny, failed tests: the answer is no. */
  no: 1,
  /** Refused: a bundle, trust set, key, manifest or policy that is not acceptable. */
  refused: 2,
  /** `status`: starting or measuring, so there is no verdict yet. */
  pending: 3,
  usage: 64,
  noInput: 66,
  unavailable: 69,
  internal: 70,
  cantCreate: 73,
  io: 74,
  noPermission: 77,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_ERROR_CODE: Readonly<Record<string, ExitCode>> = {
  usage: EXIT.usage,
  'not-found': EXIT.noInput,
  'not-a-file': EXIT.noInput,
  'not-a-directory': EXIT.noInput,
  'file-too-large': EXIT.noInput,
  'permission-denied': EXIT.noPermission,
  'already-exists': EXIT.cantCreate,
  'io-failed': EXIT.io,
  'tree-unreadable': EXIT.io,
  'address-in-use': EXIT.unavailable,
  'directory-in-use': EXIT.unavailable,
  'address-invalid': EXIT.usage,
  unreachable: EXIT.unavailable,
  timeout: EXIT.unavailable,
  'tests-failed': EXIT.no,
  'half-died': EXIT.unavailable,
  'answer-malformed': EXIT.unavailable,
};

/** The exit code for what a verb threw: `internal` for what is no `CodedError`, which is a bug. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (!(thrown instanceof CodedError)) return EXIT.internal;
  // `run` hands on what the half that ended had to say.
  const handedOn =
    'exitCode' in thrown ? Object.values(EXIT).find((code) => code === thrown.exitCode) : undefined;
  if (handedOn !== undefined && handedOn !== EXIT.good) return handedOn;
  return BY_ERROR_CODE[thrown.code] ?? EXIT.refused;
}

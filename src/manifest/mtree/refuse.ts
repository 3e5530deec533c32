import { ManifestError, type ManifestErrorCode } from '../manifest-error.ts';

/** Refuses a foreign manifest at a line, counted from 1. @throws ManifestError */
export function refuse(code: ManifestErrorCode, line: number, message: string, hint?: string): never {
  throw new ManifestError(
    code,
    `mtree manifest line ${line}: ${message}`,
    hint === undefined ? {} : { hint },
  );
}

/** Text of a manifest as a message can hold it. */
export function quoted(text: string): string {
  return JSON.stringify(text.length <= 200 ? text : `${text.slice(0, 200)}…`);
}

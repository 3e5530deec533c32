import type { CedarProblem } from './cedar-wasm.ts';
import { PolicyError, type PolicyErrorCode } from './policy-error.ts';
import { columnAt, lineAt } from './split-policies.ts';

/** A text file of a policy repository. */
export type TextFile = { file: string; text: string };

/** Problems shown of one kind at most; a person mends a few at a time. */
const MAX_SHOWN = 20;

/** `file:line:column: message`, for a problem in the piece of the file that begins at `start`. */
export function locate({ file, text }: TextFile, start: number, problem: CedarProblem): string {
  // Cedar counts UTF-8 bytes; a place inside the file is found by the characters that they make.
  const bytes = Buffer.from(text.slice(start), 'utf8').subarray(0, problem.start);
  const offset = start + bytes.toString('utf8').length;
  return `${file}:${lineAt(text, offset)}:${columnAt(text, offset)}: ${sentence(problem)}`;
}

/** What is wrong and what would be right, without the parser's own frame. */
export function sentence({ message, expected, help }: CedarProblem): string {
  const plain = message
    .replace(/^failed to parse (?:policies|policy|template|schema)[^:]*: (?:error parsing schema: )?/, '')
    .replace(/^error parsing schema: /, '')
    .replace(/^error during entity deserialization: /, '');
  return `${plain}${expected === null ? '' : `: ${expected}`}${help === null ? '' : ` (${help})`}`;
}

/** @throws PolicyError with one problem a line, where there is one */
export function throwProblems(code: PolicyErrorCode, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > MAX_SHOWN ? [`and ${problems.length - MAX_SHOWN} more`] : [];
  throw new PolicyError(code, [...problems.slice(0, MAX_SHOWN), ...more].join('\n'), {
    hint: 'Mend the named lines and build again; nothing was written.',
  });
}

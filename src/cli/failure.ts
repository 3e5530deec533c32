import { escapeControls } from '../base/display.ts';
import { CodedError } from '../base/errors.ts';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** What the command line itself throws: a flag or an argument that makes no sense. */
export class UsageError extends CodedError<'usage'> {
  override readonly name = 'UsageError';
  constructor(message: string, hint?: string) {
    super('usage', message, hint === undefined ? {} : { hint });
  }
}

/**
 * Says on stderr what failed, why and what to do; with `json`, also on stdout for a program:
 * `{"error": {"code", "message", "hint"?}}`.
 * @returns the exit code
 */
export function reportFailure(thrown: unknown, terminal: Terminal, json: boolean): ExitCode {
  const exitCode = exitCodeOf(thrown);
  const code = thrown instanceof CodedError ? thrown.code : 'internal';
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const hint = thrown instanceof CodedError ? thrown.hint : undefined;
  const { bad, strong, faint } = terminal.errStyle;
  // Messages may quote names from an image or an archive; line breaks between problems are kept.
  const shown = message
    .split('\n')
    .map((line) => escapeControls(line))
    .join('\n  ');
  terminal.err(`${strong('sealborn:')} ${bad('error:')} ${shown} ${faint(`[${code}]`)}\n`);
  if (hint !== undefined) terminal.err(`${strong('hint:')} ${escapeControls(hint)}\n`);
  if (exitCode === EXIT.internal && thrown instanceof Error) {
    terminal.err(
      `${thrown.stack ?? ''}\n${strong('hint:')} This is a bug in sealborn. Please report it with the lines above.\n`,
    );
  }
  if (json) {
    terminal.out(
      `${JSON.stringify({ error: { code, message, ...(hint === undefined ? {} : { hint }) } })}\n`,
    );
  }
  return exitCode;
}

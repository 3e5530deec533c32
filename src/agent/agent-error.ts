import { CodedError } from '../base/errors.ts';

/** Why a half of the agent does not start, or why it stops believing something. */
export type AgentErrorCode =
  | 'settings-invalid'
  | 'environment-unsafe'
  | 'state-illegal'
  | 'channel-malformed'
  | 'host-key-invalid'
  | 'chain-invalid'
  | 'half-died';

/** What agent/ throws. */
export class AgentError extends CodedError<AgentErrorCode> {
  override readonly name = 'AgentError';
}

/** One half ended by itself; `exitCode` is the half's own, where it ended with one. */
export class HalfDied extends AgentError {
  readonly exitCode: number | undefined;
  constructor(message: string, exitCode: number | undefined) {
    super('half-died', message, { hint: 'Its last log lines say why.' });
    this.exitCode = exitCode;
  }
}

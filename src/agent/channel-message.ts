import { type Verdict, verdictShape } from '../attestation/verdict.ts';
import { BaseError } from '../base/errors.ts';
import { parseJson } from '../base/json.ts';
import { oneOf, readShape, record, whole } from '../base/shape.ts';
import { AgentError } from './agent-error.ts';

/** What goes over verdict.sock, one JSON object a line: the verdict at connect and on change, then heartbeats. */
export type ChannelMessage =
  | { type: 'verdict'; verdict: Verdict }
  /** Proof that the measuring half lives. `count` grows with each, so that a replay is no proof. */
  | { type: 'heartbeat'; count: number };

/** Bytes of a line at most: four times what a verdict's findings are bounded to. */
export const MAX_MESSAGE_BYTES: number = 1024 * 1024;

/** A heartbeat is sent this often … */
export const HEARTBEAT_MS = 1000;
/** … and a measuring half that was silent this long is not trusted (house: "Why two processes"). */
export const SILENCE_MS = 5000;

/** The message as a line. */
export function formatMessage(message: ChannelMessage): string {
  return `${JSON.stringify(message)}\n`;
}

/**
 * Reads a line, without its newline.
 * @throws AgentError `channel-malformed`
 */
export function parseMessage(line: Uint8Array): ChannelMessage {
  try {
    const value = parseJson(line, 'verdict.sock', { maxBytes: MAX_MESSAGE_BYTES, maxDepth: 8 });
    const { type } = readShape(typeShape, value, 'verdict.sock');
    return type === 'verdict'
      ? readShape(verdictMessage, value, 'verdict.sock')
      : readShape(heartbeatMessage, value, 'verdict.sock');
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new AgentError('channel-malformed', cause.message, { cause });
  }
}

const typeShape = record({ type: oneOf('verdict', 'heartbeat') }, { open: true });
const verdictMessage = record({ type: oneOf('verdict'), verdict: verdictShape });
const heartbeatMessage = record({ type: oneOf('heartbeat'), count: whole(1) });

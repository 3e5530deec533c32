import { utf8 } from '../base/bytes.ts';
import { BaseError } from '../base/errors.ts';
import { type JsonValue, canonicalJson, parseJson } from '../base/json.ts';
import { type Reader, readShape } from '../base/shape.ts';
import { HostError } from '../host/host-error.ts';

/** Where the agent answers on an instance. */
export const DEFAULT_SOCKET = '/run/sealborn/decide.sock';

/** Bytes of an answer that a verb reads at most. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
/** A local agent answers in well under a second; what takes longer is stuck. */
const TIMEOUT_MS = 5000;

/**
 * Asks the agent over its Unix socket and parses the JSON of the answer.
 * @throws HostError `unreachable`, `timeout`, `answer-malformed`, `permission-denied`
 */
export async function askAgent(
  socket: string,
  request: { method: 'GET' | 'POST'; path: string; body?: unknown },
): Promise<{ status: number; value: JsonValue }> {
  const body = request.body === undefined ? undefined : canonicalJson(request.body);
  // Only where it is needed: node:http costs every other verb a few milliseconds and 4 MB.
  const { requestUnix } = await import('../host/net/unix-http.ts');
  const answer = await requestUnix(
    socket,
    {
      method: request.method,
      path: request.path,
      ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
    },
    TIMEOUT_MS,
  );
  try {
    const value = parseJson(utf8(answer.body, 'answer'), 'answer', { maxBytes: MAX_ANSWER_BYTES });
    return { status: answer.status, value };
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new HostError('answer-malformed', `the agent at "${socket}" gave no JSON: ${cause.message}`, {
      cause,
      hint: 'Is another program listening there?',
    });
  }
}

/**
 * Reads an answer of the agent.
 * @throws HostError `answer-malformed` where it has another shape: what answers is no agent of this version
 */
export function readAnswer<T>(reader: Reader<T>, value: JsonValue, socket: string): T {
  try {
    return readShape(reader, value, `the answer at "${socket}"`);
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new HostError('answer-malformed', cause.message, {
      cause,
      hint: 'Is another program listening there, or an agent of another version?',
    });
  }
}

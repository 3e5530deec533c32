import { BaseError } from '../../base/errors.ts';
import { type JsonLimits, type JsonValue, parseJson } from '../../base/json.ts';
import { isObject } from '../../base/shape.ts';
import { parseEvaluation } from '../../policy/authzen.ts';
import { PolicyError } from '../../policy/policy-error.ts';
import { answerJson } from './answer-json.ts';
import type { Decider } from './decider.ts';
import type { Metrics } from '../metrics.ts';
import { isRequestId } from '../router.ts';

/** Bytes of a line on decide.ndjson.sock at most, without its newline. */
export const MAX_LINE_BYTES: number = 64 * 1024;

const LIMITS: JsonLimits = { maxBytes: MAX_LINE_BYTES, maxDepth: 32 };

/** What a client tells its answers apart by. */
type LineId = string | number;

export type DecideLinesOptions = {
  decider: Decider;
  metrics: Metrics;
  /** Told of what went wrong inside; the client hears only that something did. */
  onError: (thrown: unknown) => void;
};

/** What answers a line of a client, named as logs name it. */
export type LineAnswerer = (line: Buffer, client: string) => string;

/**
 * What decide.ndjson.sock answers: a line that holds an AuthZEN evaluation request with an `id` (a whole number
 * or a short plain text), by the answer with that id. A line that is no such request is answered by
 * `{"id", "error": {"code", "message"}}`, with `id` null where it can't be read.
 */
export function createLineAnswerer({ decider, metrics, onError }: DecideLinesOptions): LineAnswerer {
  return (line, client) => {
    let id: LineId | null = null;
    try {
      const value = parseJson(line, 'line', LIMITS);
      id = readId(value);
      const answer = decider.one(parseEvaluation(value), {
        via: 'ndjson',
        client,
        requestId: String(id),
      });
      metrics.countLine('answered');
      return `{"id":${typeof id === 'number' ? id : JSON.stringify(id)},${answerJson(answer)}}`;
    } catch (thrown) {
      metrics.countLine('refused');
      if (
        thrown instanceof BaseError ||
        (thrown instanceof PolicyError && thrown.code === 'request-invalid')
      ) {
        return errorLine(id, thrown.code, thrown.message);
      }
      onError(thrown);
      return errorLine(id, 'internal', 'internal error');
    }
  };
}

/** An error as a line: what went wrong with the request of this id, or with one whose id can't be read. */
export function errorLine(id: LineId | null, code: string, message: string): string {
  return JSON.stringify({ id, error: { code, message } });
}

function readId(value: JsonValue): LineId {
  const id = isObject(value) ? value['id'] : undefined;
  if (typeof id === 'string' ? isRequestId(id) : Number.isSafeInteger(id)) return id as LineId;
  throw new PolicyError(
    'request-invalid',
    'line: id: must be a whole number, or 1 to 256 printable ASCII characters',
  );
}

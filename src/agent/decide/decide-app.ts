import type { DecisionLogStatus } from '../../attestation/status.ts';
import type { Verdict } from '../../attestation/verdict.ts';
import { BaseError } from '../../base/errors.ts';
import { type JsonLimits, type JsonValue, parseJson } from '../../base/json.ts';
import type { PlainRequest, PlainResponse } from '../../host/net/http-server.ts';
import { parseEvaluation } from '../../policy/authzen.ts';
import { parseEvaluations } from '../../policy/authzen-batch.ts';
import { type SearchKind, parseSearch } from '../../policy/authzen-search.ts';
import { PolicyError } from '../../policy/policy-error.ts';
import { answerJson } from './answer-json.ts';
import type { Answer, Asked, Decider } from './decider.ts';
import type { Metrics } from '../metrics.ts';
import { type Handler, createRouter, errorAnswer, jsonAnswer, requestIdOf } from '../router.ts';

/** Bytes of a request's body at most. */
export const MAX_BODY_BYTES: number = 1024 * 1024;

const LIMITS: JsonLimits = { maxBytes: MAX_BODY_BYTES, maxDepth: 32 };
const JSON_HEADERS = { 'content-type': 'application/json' };

export type DecideOptions = {
  decider: Decider;
  /** What the serving half goes by at this moment, for `/status`. */
  verdict: () => Verdict;
  /** How the decision log does, for `/status`. */
  decisionLog: () => DecisionLogStatus;
  metrics: Metrics;
};

/**
 * What decide.sock answers: the AuthZEN Authorization API 1.0 (evaluation, evaluations, searches, metadata) and
 * `/status`. In every state but `trusted` each decision is a deny with reason `not-trusted` and the state.
 * Nothing here writes.
 */
export function createDecideApp({ decider, verdict, decisionLog, metrics }: DecideOptions): Handler {
  const searchFor = (kind: SearchKind): { POST: Handler } => ({
    POST: (request) =>
      withBody(request, (value) =>
        jsonAnswer(200, decider.search(parseSearch(kind, value), askedBy(request))),
      ),
  });
  const router = createRouter({
    '/access/v1/evaluation': {
      POST: (request) =>
        withBody(request, (value) => {
          return oneAnswer(decider.one(parseEvaluation(value), askedBy(request)));
        }),
    },
    '/access/v1/evaluations': {
      POST: (request) =>
        withBody(request, (value) => {
          const batch = parseEvaluations(value);
          // Without `evaluations` it is one question, answered as one (AuthZEN 1.0 section 7.1).
          if (!('items' in batch)) return oneAnswer(decider.one(batch, askedBy(request)));
          return jsonAnswer(200, { evaluations: decider.all(batch, askedBy(request)) });
        }),
    },
    '/access/v1/search/subject': searchFor('subject'),
    '/access/v1/search/resource': searchFor('resource'),
    '/access/v1/search/action': searchFor('action'),
    '/.well-known/authzen-configuration': { GET: () => jsonAnswer(200, METADATA) },
    '/status': { GET: () => jsonAnswer(200, { ...verdict(), decisionLog: decisionLog() }) },
  });
  return (request) => {
    const answer = router(request);
    metrics.countRequest(answer.status);
    return answer;
  };
}

/** AuthZEN 1.0 "Policy Decision Point Metadata". A Unix socket has no host; clients keep to the paths. */
const METADATA = {
  policy_decision_point: 'http://localhost',
  access_evaluation_endpoint: 'http://localhost/access/v1/evaluation',
  access_evaluations_endpoint: 'http://localhost/access/v1/evaluations',
  search_subject_endpoint: 'http://localhost/access/v1/search/subject',
  search_resource_endpoint: 'http://localhost/access/v1/search/resource',
  search_action_endpoint: 'http://localhost/access/v1/search/action',
};

function askedBy(request: PlainRequest): Asked {
  return { via: 'http', client: request.client(), requestId: requestIdOf(request) };
}

function oneAnswer(answer: Answer): PlainResponse {
  return { status: 200, headers: JSON_HEADERS, body: `{${answerJson(answer)}}` };
}

function withBody(request: PlainRequest, run: (value: JsonValue) => PlainResponse): PlainResponse {
  // Not 415: AuthZEN 1.0 names 400 for it (certification scenario, "Invalid content type").
  if (!isJson(request.headers['content-type']))
    return errorAnswer(400, 'the content type must be application/json');
  try {
    return run(parseJson(request.body, 'request', LIMITS));
  } catch (thrown) {
    if (thrown instanceof BaseError || (thrown instanceof PolicyError && thrown.code === 'request-invalid')) {
      return errorAnswer(400, thrown.message);
    }
    throw thrown;
  }
}

function isJson(type: string | undefined): boolean {
  if (type === 'application/json') return true;
  return type?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json';
}

import { randomUUID } from 'node:crypto';

import type { Verdict } from '../attestation/verdict.ts';
import { BaseError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import type { ReleaseId } from '../base/release-id.ts';
import type { PlainRequest, PlainResponse } from '../host/http-server.ts';
import {
  type Evaluation,
  evaluate,
  evaluateAll,
  parseEvaluation,
  parseEvaluations,
} from '../policy/authzen.ts';
import type { Engine } from '../policy/engine.ts';
import { PolicyError } from '../policy/policy-error.ts';
import type { DecisionReason, Metrics } from './metrics.ts';
import { type Handler, createRouter, errorAnswer, jsonAnswer } from './router.ts';

/** Bytes of a request's body at most. */
export const MAX_BODY_BYTES: number = 1024 * 1024;

export type DecideOptions = {
  /** What the serving half goes by at this moment. */
  verdict: () => Verdict;
  /** Absent where no release was verified; then the verdict is not `trusted`. */
  engine: Engine | undefined;
  metrics: Metrics;
};

/** What an answer says about a decision besides itself: contracts.md "Decision socket". */
type AnswerContext = Omit<Evaluation['context'], 'reason'> & {
  reason: DecisionReason;
  /** Only where the reason is `not-trusted`. */
  state?: Verdict['state'];
  release?: Pick<ReleaseId, 'name' | 'version' | 'commit'>;
  decisionId: string;
};
type Answer = { decision: boolean; context: AnswerContext };

/** Decides nothing in anyone's favour: stands in where the machine is not trusted. */
const DENY_ALL: Engine = {
  decide: () => ({ decision: false, reason: 'no-permit', policies: [], errors: [], ignored: [] }),
};

/**
 * What decide.sock answers: the AuthZEN Authorization API 1.0 (evaluation, evaluations, metadata) and
 * `/status`. In every state but `trusted` each decision is a deny with reason `not-trusted` and the state.
 * Nothing here writes.
 */
export function createDecideApp(options: DecideOptions): Handler {
  const router = createRouter({
    '/access/v1/evaluation': {
      POST: (request) =>
        withBody(request, (value) => {
          const question = parseEvaluation(value);
          const judge = judgeOf(options);
          return judge.answer(evaluate(judge.engine, question));
        }),
    },
    '/access/v1/evaluations': {
      POST: (request) =>
        withBody(request, (value) => {
          const batch = parseEvaluations(value);
          const judge = judgeOf(options);
          // Without `evaluations` it is one question, answered as one (AuthZEN 1.0 section 7.1).
          if (!('items' in batch)) return judge.answer(evaluate(judge.engine, batch));
          return { evaluations: evaluateAll(judge.engine, batch).map(judge.answer) };
        }),
    },
    '/.well-known/authzen-configuration': { GET: () => jsonAnswer(200, METADATA) },
    '/status': { GET: () => jsonAnswer(200, options.verdict()) },
  });
  return (request) => {
    const answer = router(request);
    options.metrics.countRequest(answer.status);
    return answer;
  };
}

/** AuthZEN 1.0 "Policy Decision Point Metadata". A Unix socket has no host; clients keep to the paths. */
const METADATA = {
  policy_decision_point: 'http://localhost',
  access_evaluation_endpoint: 'http://localhost/access/v1/evaluation',
  access_evaluations_endpoint: 'http://localhost/access/v1/evaluations',
};

type Judge = { engine: Engine; answer: (evaluation: Evaluation) => Answer };

/** What decides one request: the state is looked at once, so that a batch is answered by one release. */
function judgeOf({ verdict, engine, metrics }: DecideOptions): Judge {
  const { state, release } = verdict();
  const isTrusted = state === 'trusted' && engine !== undefined;
  const named = release && { name: release.name, version: release.version, commit: release.commit };
  let since = performance.now();
  return {
    engine: isTrusted ? engine : DENY_ALL,
    answer: ({ decision, context }) => {
      const reason = isTrusted ? context.reason : 'not-trusted';
      const now = performance.now();
      metrics.countDecision(reason, (now - since) / 1000);
      since = now;
      return {
        decision: isTrusted && decision,
        context: {
          ...context,
          reason,
          ...(isTrusted ? {} : { state }),
          ...(named === undefined ? {} : { release: named }),
          decisionId: randomUUID(),
        },
      };
    },
  };
}

function withBody(request: PlainRequest, run: (value: JsonValue) => unknown): PlainResponse {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') return errorAnswer(415, 'the content type must be application/json');
  try {
    return jsonAnswer(
      200,
      run(parseJson(request.body, 'request', { maxBytes: MAX_BODY_BYTES, maxDepth: 32 })),
    );
  } catch (thrown) {
    if (thrown instanceof BaseError || (thrown instanceof PolicyError && thrown.code === 'request-invalid')) {
      return errorAnswer(400, thrown.message);
    }
    throw thrown;
  }
}

import { randomUUID } from 'node:crypto';

import type { Verdict } from '../attestation/verdict.ts';
import type { ReleaseId } from '../base/release-id.ts';
import {
  type Evaluation,
  type EvaluationRequest,
  type EvaluationsRequest,
  evaluate,
  evaluateAll,
} from '../policy/authzen.ts';
import type { Engine } from '../policy/engine.ts';
import type { PolicyError } from '../policy/policy-error.ts';
import type { DecisionReason, Metrics } from './metrics.ts';

/** How a question came in: what the transport knows about who asks. */
export type Asked = {
  via: 'http' | 'ndjson' | 'proxy';
  /** The X-Request-ID of the request, where it is short and plain. */
  requestId?: string | undefined;
};

/** What an answer says about a decision besides itself: contracts.md "Decision socket". */
export type AnswerContext = Omit<Evaluation['context'], 'reason'> & {
  reason: DecisionReason;
  /** Only where the reason is `not-trusted`. */
  state?: Verdict['state'];
  release?: Pick<ReleaseId, 'name' | 'version' | 'commit'>;
  decisionId: string;
};
export type Answer = { decision: boolean; context: AnswerContext };

/** One decision as it was made, for whoever keeps account of it. */
export type Decided = {
  /** What was asked; of an item of a batch that is no request, what is wrong with it. */
  question: EvaluationRequest | PolicyError;
  answer: Answer;
  asked: Asked;
};

export type DeciderOptions = {
  /** What the serving half goes by at this moment. */
  verdict: () => Verdict;
  /** Absent where no release was verified; then the verdict is not `trusted`. */
  engine: Engine | undefined;
  metrics: Metrics;
  /**
   * Takes every decision before it is handed out, and gives back the answer to hand out: the same one, or a
   * deny where account of it can't be kept. It must neither throw nor wait.
   */
  account?: (decided: Decided) => Answer;
};

/** The one place through which every decision goes, whatever asked for it. */
export type Decider = {
  one: (question: EvaluationRequest, asked: Asked) => Answer;
  /** A batch, answered in order by one state of the machine, as far as its semantic goes. */
  all: (batch: EvaluationsRequest, asked: Asked) => Answer[];
};

/** Decides nothing in anyone's favour: stands in where the machine is not trusted. */
const DENY_ALL: Engine = {
  decide: () => ({ decision: false, reason: 'no-permit', policies: [], errors: [], ignored: [] }),
};

/**
 * Makes the decider. In every state but `trusted` each decision is a deny with reason `not-trusted` and the
 * state.
 */
export function createDecider(options: DeciderOptions): Decider {
  return {
    one: (question, asked) => {
      const judge = judgeOf(options, asked);
      return judge.answer(question, evaluate(judge.engine, question));
    },
    all: (batch, asked) => {
      const judge = judgeOf(options, asked);
      return evaluateAll(judge.engine, batch).map((evaluation, index) => {
        const question = batch.items[index];
        if (question === undefined) throw new Error('an answer to no question');
        return judge.answer(question, evaluation);
      });
    },
  };
}

type Judge = {
  engine: Engine;
  answer: (question: Decided['question'], evaluation: Evaluation) => Answer;
};

/** What decides one request: the state is looked at once, so that a batch is answered by one release. */
function judgeOf({ verdict, engine, metrics, account }: DeciderOptions, asked: Asked): Judge {
  const { state, release } = verdict();
  const isTrusted = state === 'trusted' && engine !== undefined;
  const named = release && { name: release.name, version: release.version, commit: release.commit };
  let since = performance.now();
  return {
    engine: isTrusted ? engine : DENY_ALL,
    answer: (question, { decision, context }) => {
      const made: Answer = {
        decision: isTrusted && decision,
        context: {
          ...context,
          reason: isTrusted ? context.reason : 'not-trusted',
          ...(isTrusted ? {} : { state }),
          ...(named === undefined ? {} : { release: named }),
          decisionId: randomUUID(),
        },
      };
      const answer = account === undefined ? made : account({ question, answer: made, asked });
      const now = performance.now();
      metrics.countDecision(answer.context.reason, (now - since) / 1000);
      since = now;
      return answer;
    },
  };
}

import { randomUUID } from 'node:crypto';

import type { Identity } from '../../access/identify.ts';
import type { Verdict } from '../../attestation/verdict.ts';
import type { ReleaseId } from '../../base/release-id.ts';
import { type Evaluation, type EvaluationRequest, evaluate } from '../../policy/authzen.ts';
import {
  type EvaluationItem,
  type EvaluationsRequest,
  MAX_EVALUATIONS,
  answerAll,
  evaluateItem,
} from '../../policy/authzen-batch.ts';
import { type Found, type SearchRequest, search } from '../../policy/authzen-search.ts';
import type { Engine } from '../../policy/engine.ts';
import type { DecisionReason, Metrics } from '../metrics.ts';

/** How a question came in: what the transport knows about who asks. */
export type Asked = {
  via: 'http' | 'ndjson' | 'proxy';
  /** Who is at the other end of the connection, as the log names them. */
  client: string;
  /** Of a proxy's question, who its client was found to be, and by what. */
  identity?: Pick<Identity, 'subject' | 'shown'> | undefined;
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
  question: EvaluationItem;
  answer: Answer;
  asked: Asked;
  /** What deciding took. */
  seconds: number;
};

/** What a search gives: AuthZEN 1.0, section 8.3; the page first, as it asks. */
export type SearchAnswer = {
  /** `next_token` is empty on the last page. */
  page: { next_token: string; count: number };
  context: Pick<AnswerContext, 'state' | 'release' | 'decisionId' | 'errors'> & {
    /** Only where nothing is found because the machine is not trusted, or the page can't be logged. */
    reason?: 'not-trusted' | 'not-logged';
  };
  results: Found[];
};

/** One page of a search, for whoever keeps account of it. */
export type Searched = { question: SearchRequest; answer: SearchAnswer; asked: Asked };

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
  /** The same of every page of a search. */
  accountSearch?: (searched: Searched) => SearchAnswer;
};

/** The one place through which every decision goes, whatever asked for it. */
export type Decider = {
  one: (question: EvaluationRequest, asked: Asked) => Answer;
  /** A batch, answered in order by one state of the machine, as far as its semantic goes. */
  all: (batch: EvaluationsRequest, asked: Asked) => Answer[];
  /** One page of a search. @throws PolicyError `request-invalid` where its token is of another search or release */
  search: (request: SearchRequest, asked: Asked) => SearchAnswer;
};

/** Candidates that one page of a search decides about at most: no more than a batch, since all others wait for it. */
const MAX_TRIED = MAX_EVALUATIONS;

/** Decides nothing in anyone's favour: stands in where the machine is not trusted. */
const DENY_ALL: Engine = {
  decide: () => ({ decision: false, reason: 'no-permit', policies: [], errors: [], ignored: [] }),
  idsOf: () => [],
  actionNames: () => [],
};

/** How the machine stands while one request is answered: looked at once, so that a batch is answered by one release. */
type Standing = {
  isTrusted: boolean;
  state: Verdict['state'];
  engine: Engine;
  release: AnswerContext['release'];
};

/**
 * Makes the decider. In every state but `trusted` each decision is a deny with reason `not-trusted` and the
 * state.
 */
export function createDecider(options: DeciderOptions): Decider {
  const { verdict, engine, metrics, account } = options;
  const namesOf = releaseNames();
  const look = (): Standing => {
    const { state, release } = verdict();
    const isTrusted = state === 'trusted' && engine !== undefined;
    return { isTrusted, state, engine: isTrusted ? engine : DENY_ALL, release: namesOf(release) };
  };
  const answer = (
    { isTrusted, state, release }: Standing,
    question: EvaluationItem,
    evaluation: Evaluation,
    asked: Asked,
    since: number,
  ): Answer => {
    const context: AnswerContext = { ...evaluation.context, decisionId: randomUUID() };
    if (!isTrusted) {
      context.reason = 'not-trusted';
      context.state = state;
    }
    if (release !== undefined) context.release = release;
    const made = { decision: isTrusted && evaluation.decision, context };
    const seconds = (performance.now() - since) / 1000;
    const given = account === undefined ? made : account({ question, answer: made, asked, seconds });
    metrics.countDecision(given.context.reason, seconds);
    return given;
  };
  return {
    one: (question, asked) => {
      const standing = look();
      const since = performance.now();
      return answer(standing, question, evaluate(standing.engine, question), asked, since);
    },
    all: (batch, asked) => {
      const standing = look();
      return answerAll(batch, (item) => {
        const since = performance.now();
        return answer(standing, item, evaluateItem(standing.engine, item), asked, since);
      });
    },
    search: (question, asked) => {
      const found = searchNow(options, namesOf, question);
      return options.accountSearch?.({ question, answer: found, asked }) ?? found;
    },
  };
}

function searchNow(
  { verdict, engine }: DeciderOptions,
  namesOf: ReturnType<typeof releaseNames>,
  question: SearchRequest,
): SearchAnswer {
  const { state, release } = verdict();
  const names = namesOf(release);
  const named = names === undefined ? {} : { release: names };
  const decisionId = randomUUID();
  if (state !== 'trusted' || engine === undefined || release === undefined) {
    return {
      page: { next_token: '', count: 0 },
      context: { reason: 'not-trusted', state, ...named, decisionId },
      results: [],
    };
  }
  const { results, nextToken, errors } = search(engine, question, {
    release: release.digest,
    maxTried: MAX_TRIED,
  });
  return {
    page: { next_token: nextToken, count: results.length },
    context: { ...(errors.length === 0 ? {} : { errors }), ...named, decisionId },
    results,
  };
}

/** What answers say of a release; the same object as long as it is the same release. */
function releaseNames(): (release: ReleaseId | undefined) => AnswerContext['release'] {
  let last: ReleaseId | undefined;
  let names: AnswerContext['release'];
  return (release) => {
    if (release !== last) {
      last = release;
      names = release && { name: release.name, version: release.version, commit: release.commit };
    }
    return names;
  };
}

import type { Words } from '../../attestation/statement.ts';
import { formatUid } from '../../base/entity-uid.ts';
import { PolicyError } from '../../policy/policy-error.ts';
import { policiesJson, releaseJson } from './answer-json.ts';
import type { Answer, AnswerContext, Asked, Decided, Searched } from './decider.ts';
import { holdsCredential } from '../credentials.ts';
import { type LoggedInput, createMasker } from './mask-question.ts';
import { questionJson, valueJson } from './question-json.ts';

/** Policies, and errors, that a line names at most. */
const MAX_POLICIES = 100;
/** Characters of what was wrong with a question. */
const MAX_MESSAGE = 1024;

const NO_QUESTION: LoggedInput = { json: 'null', erased: [] };

/** What makes the fields of a line. */
export type Recorder = {
  decision: (decided: Decided, at: Date) => string;
  /** Of a search, what was asked and how many were found: who they are follows from the release. */
  search: (searched: Searched, at: Date) => string;
};

/**
 * Makes the fields of a decision's line. Names are those of OPA's decision log where it has one
 * (docs/decision-log.md). A line is made of what AuthZEN names and of the answer, never of headers or of
 * other fields of a request.
 * @param mask JSON Pointers below `/input`
 */
export function createRecorder(mask: readonly string[], labels: Words): Recorder {
  const masked = createMasker(mask);
  const isSubjectSecret = mask.some(
    (pointer) => pointer === '/input/subject' || pointer === '/input/subject/id',
  );
  const tail = `,"labels":${JSON.stringify(labels)}`;
  const timestamp = isoOfMillisecond();
  const head = (type: 'decision' | 'search', id: string, asked: Asked, at: Date): string => {
    let line = `"type":"${type}","decision_id":"${id}","timestamp":"${timestamp(at)}","requested_by":"${asked.client}","via":"${asked.via}"`;
    if (asked.identity !== undefined) line += identityOf(asked.identity, isSubjectSecret);
    if (asked.requestId !== undefined) {
      const requestId = JSON.stringify(asked.requestId);
      if (!holdsCredential(requestId)) line += `,"req_id":${requestId}`;
    }
    return line;
  };
  const foot = (
    erased: readonly string[],
    { state, errors, release: named }: Pick<AnswerContext, 'state' | 'errors' | 'release'>,
    isUnread = false,
  ): string => {
    let line = '';
    if (state !== undefined) line += `,"state":"${state}"`;
    if (errors !== undefined) {
      // A message quotes what did not fit: where something is masked, it may quote just that.
      const all = errorsOf(errors);
      const isQuiet = erased.length > 0 || holdsCredential(all);
      if (isQuiet)
        line += `,"errors":${JSON.stringify(errors.slice(0, MAX_POLICIES).map(({ id }) => ({ id })))}`;
      else line += `,"errors":${isUnread && mask.length > 0 ? codesOf(errors) : all}`;
    }
    if (erased.length > 0) line += `,"erased":${JSON.stringify(erased)}`;
    if (named !== undefined) line += `,"release":${releaseJson(named)}`;
    return line + tail;
  };
  return {
    search: ({ question, answer, asked }, at) => {
      const { json: input, erased } = masked(question, valueJson);
      const { context, page } = answer;
      return `${head('search', context.decisionId, asked, at)},"input":${input},"result":${page.count}${foot(erased, context)}`;
    },
    decision: ({ question, answer, asked, seconds }, at) => {
      const { decision, context } = answer;
      const { json: input, erased } =
        question instanceof PolicyError ? NO_QUESTION : masked(question, questionJson);
      const { policies } = context;
      const named = policies.length > MAX_POLICIES ? policies.slice(0, MAX_POLICIES) : policies;
      let line =
        `${head('decision', context.decisionId, asked, at)},"input":${input},"result":${decision},` +
        `"reason":"${context.reason}","policies":${policiesJson(named)}`;
      if (policies.length > MAX_POLICIES) line += `,"policies_total":${policies.length}`;
      if (context.ignored !== undefined) line += `,"ignored":${JSON.stringify(context.ignored)}`;
      return `${line}${foot(erased, context, question instanceof PolicyError)},"metrics":{"timer_decision_ns":${Math.round(seconds * 1e9)}}`;
    },
  };
}

/** Who a proxy's client was found to be, and what they showed; of a mask that hides subjects, only what kind of thing. */
function identityOf({ subject, shown }: NonNullable<Asked['identity']>, isSubjectSecret: boolean): string {
  const kinds = shown.map((one) => Object.keys(one)[0]);
  const whole = JSON.stringify({ subject: formatUid(subject), shown });
  return `,"identity":${isSubjectSecret || holdsCredential(whole) ? JSON.stringify({ shown: kinds }) : whole}`;
}

/** Of a question that can't be read nobody knows where the masked field stood: of what is wrong, the code alone. */
function codesOf(errors: NonNullable<Answer['context']['errors']>): string {
  return JSON.stringify(
    errors.slice(0, MAX_POLICIES).map(({ id, message }) => ({
      id,
      message: /^[a-z-]+(?=: )/.exec(message)?.[0] ?? 'request-invalid',
    })),
  );
}

function errorsOf(errors: NonNullable<Answer['context']['errors']>): string {
  return JSON.stringify(
    errors.slice(0, MAX_POLICIES).map(({ id, message }) => ({ id, message: cut(message) })),
  );
}

function cut(message: string): string {
  return message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE).toWellFormed()}…`;
}

/** Many decisions are made in one millisecond. */
function isoOfMillisecond(): (at: Date) => string {
  let time = Number.NaN;
  let text = '';
  return (at) => {
    if (at.getTime() !== time) {
      time = at.getTime();
      text = at.toISOString();
    }
    return text;
  };
}

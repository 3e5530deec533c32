import { BaseError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import {
  type Reader,
  isObject,
  jsonObject,
  oneOf,
  optional,
  readShape,
  record,
  text,
} from '../base/shape.ts';
import type { Decision, Engine, Question } from './engine.ts';
import { PolicyError } from './policy-error.ts';

/** One evaluation request of AuthZEN 1.0, section 6 ("Access Evaluation API"), checked. */
export type EvaluationRequest = {
  subject: { type: string; id: string; properties?: JsonObject };
  action: { name: string; properties?: JsonObject };
  resource: { type: string; id: string; properties?: JsonObject };
  context?: JsonObject;
};

/** An answer: section 6.2 of AuthZEN 1.0; `context` as in docs/agent.md. */
export type Evaluation = { decision: boolean; context: EvaluationContext };

export type EvaluationContext = {
  reason: Decision['reason'];
  policies: Decision['policies'];
  errors?: Decision['errors'];
  /** The parts of the request whose `properties` (or, of the context, fields) were not used, or not all. */
  ignored?: ('subject' | 'resource' | 'context')[];
};

/** A batch: section 7 ("Access Evaluations API"). An item that is no request holds what is wrong with it. */
export type EvaluationsRequest = {
  items: (EvaluationRequest | PolicyError)[];
  semantic: 'execute_all' | 'deny_on_first_deny' | 'permit_on_first_permit';
};

/** Items of a batch at most. */
export const MAX_EVALUATIONS = 1000;

const object = jsonObject('an object');

const ignoreUnknown = { open: true };
const entityShape = record(
  { type: text({ max: 1024 }), id: text({ max: 65_536 }), properties: optional(object) },
  ignoreUnknown,
);
const evaluationShape: Reader<EvaluationRequest> = record(
  {
    subject: entityShape,
    action: record({ name: text({ max: 1024 }), properties: optional(object) }, ignoreUnknown),
    resource: entityShape,
    context: optional(object),
  },
  ignoreUnknown,
);

/**
 * Reads one evaluation request. Fields that AuthZEN does not know are ignored, as it asks.
 * @throws PolicyError `request-invalid` for what must be answered with 400
 */
export function parseEvaluation(value: JsonValue): EvaluationRequest {
  return reading(() => readShape(evaluationShape, value, 'request'));
}

/**
 * Reads a batch. Each item takes what it lacks from the top of the request (section 7.1.1); a request without
 * `evaluations` is one evaluation.
 * @throws PolicyError `request-invalid` where the batch itself is malformed, not where an item is
 */
export function parseEvaluations(value: JsonValue): EvaluationsRequest | EvaluationRequest {
  if (!isObject(value)) throw new PolicyError('request-invalid', 'request: must be an object');
  const { evaluations, options, ...defaults } = value;
  if (evaluations === undefined || (Array.isArray(evaluations) && evaluations.length === 0)) {
    return parseEvaluation(value);
  }
  if (!Array.isArray(evaluations))
    throw new PolicyError('request-invalid', 'request: evaluations: must be a list');
  if (evaluations.length > MAX_EVALUATIONS) {
    throw new PolicyError(
      'request-invalid',
      `request: evaluations: at most ${MAX_EVALUATIONS} are answered at once`,
    );
  }
  const semantics = oneOf('execute_all', 'deny_on_first_deny', 'permit_on_first_permit');
  const optionsShape = record({ evaluations_semantic: optional(semantics) }, ignoreUnknown);
  const read =
    options === undefined ? {} : reading(() => readShape(optionsShape, options, 'request: options'));
  return {
    semantic: read.evaluations_semantic ?? 'execute_all',
    items: evaluations.map((item) => {
      try {
        return parseEvaluation(isObject(item) ? { ...defaults, ...item } : item);
      } catch (thrown) {
        if (thrown instanceof PolicyError) return thrown;
        throw thrown;
      }
    }),
  };
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new PolicyError('request-invalid', cause.message, { cause });
  }
}

/** Decides one request. */
export function evaluate(engine: Engine, request: EvaluationRequest): Evaluation {
  const { decision, reason, policies, errors, ignored } = engine.decide(questionOf(request));
  return {
    decision,
    context: {
      reason,
      policies,
      ...(errors.length === 0 ? {} : { errors }),
      ...(ignored === undefined || ignored.length === 0
        ? {}
        : { ignored: ignored.map((part) => (part === 'principal' ? 'subject' : part)) }),
    },
  };
}

/**
 * Decides a batch, in order, and stops as its semantic says; the answer that stopped it is the last one
 * (section 7.1.2). An item that is no request is a deny with what is wrong with it.
 */
export function evaluateAll(engine: Engine, { items, semantic }: EvaluationsRequest): Evaluation[] {
  const answers: Evaluation[] = [];
  for (const item of items) {
    const answer = item instanceof PolicyError ? malformed(item) : evaluate(engine, item);
    answers.push(answer);
    if (semantic === 'deny_on_first_deny' && !answer.decision) break;
    if (semantic === 'permit_on_first_permit' && answer.decision) break;
  }
  return answers;
}

function malformed(error: PolicyError): Evaluation {
  return {
    decision: false,
    context: { reason: 'error', policies: [], errors: [{ id: '', message: error.message }] },
  };
}

/** How a request's words become Cedar's: the schema tells the namespaces of what it names. */
export function questionOf({ subject, action, resource, context }: EvaluationRequest): Question {
  return {
    principal: { type: subject.type, id: subject.id },
    action: { name: action.name },
    resource: { type: resource.type, id: resource.id },
    context: context ?? NO_CONTEXT,
    claimed: {
      ...(subject.properties === undefined ? {} : { principal: subject.properties }),
      ...(resource.properties === undefined ? {} : { resource: resource.properties }),
    },
  };
}

const NO_CONTEXT: JsonObject = emptyObject();

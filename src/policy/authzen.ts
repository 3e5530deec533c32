import { BaseError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import {
  type Optional,
  type Reader,
  isObject,
  jsonObject,
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
  /** The parts of the request whose `properties` (or, of the context, fields) were not used, or not all; an
   * action's properties count as the context's. */
  ignored?: ('subject' | 'resource' | 'context')[];
};

/** The pieces that requests of all kinds are made of; fields that AuthZEN does not know are ignored, as it asks. */
const object = jsonObject('an object');
export const ignoreUnknown: { open: true } = { open: true };
const MAX_NAME = 1024;
const MAX_ID = 65_536;
const typeName = text({ max: MAX_NAME });
export const entityShape: Reader<EvaluationRequest['subject']> = record(
  { type: typeName, id: text({ max: MAX_ID }), properties: optional(object) },
  ignoreUnknown,
);
/** What is searched for: of a type; an id is ignored (section 8.4). */
export const entityTypeShape: Reader<{ type: string }> = record({ type: typeName }, ignoreUnknown);
export const actionShape: Reader<EvaluationRequest['action']> = record(
  { name: text({ max: MAX_NAME }), properties: optional(object) },
  ignoreUnknown,
);
export const contextShape: Optional<JsonObject> = optional(object);
const evaluationShape: Reader<EvaluationRequest> = record(
  { subject: entityShape, action: actionShape, resource: entityShape, context: contextShape },
  ignoreUnknown,
);

/**
 * Reads one evaluation request.
 * @throws PolicyError `request-invalid` for what must be answered with 400
 */
export function parseEvaluation(value: JsonValue): EvaluationRequest {
  return readEvaluation(value) ?? readRequest(evaluationShape, value);
}

/**
 * Reads a request in which nothing is wrong, as `evaluationShape` does, in a third of the time; of any other the shape
 * says what is.
 */
function readEvaluation(value: JsonValue): EvaluationRequest | undefined {
  if (!isObject(value)) return undefined;
  const subject = readEntity(own(value, 'subject'));
  const resource = readEntity(own(value, 'resource'));
  const action = own(value, 'action');
  const context = own(value, 'context');
  if (subject === undefined || resource === undefined || !isObject(action)) return undefined;
  const name = own(action, 'name');
  const properties = own(action, 'properties');
  if (!isName(name, MAX_NAME) || !isFields(properties) || !isFields(context)) return undefined;
  const request: EvaluationRequest = { subject, action: { name }, resource };
  if (properties !== undefined) request.action.properties = properties;
  if (context !== undefined) request.context = context;
  return request;
}

function readEntity(value: unknown): EvaluationRequest['subject'] | undefined {
  if (!isObject(value)) return undefined;
  const type = own(value, 'type');
  const id = own(value, 'id');
  const properties = own(value, 'properties');
  if (!isName(type, MAX_NAME) || !isName(id, MAX_ID) || !isFields(properties)) return undefined;
  return properties === undefined ? { type, id } : { type, id, properties };
}

function own(value: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function isName(value: unknown, max: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= max;
}

function isFields(value: unknown): value is JsonObject | undefined {
  return value === undefined || isObject(value);
}

/** Reads a request of any kind. @throws PolicyError `request-invalid` for what must be answered with 400 */
export function readRequest<T>(shape: Reader<T>, value: JsonValue, what = 'request'): T {
  try {
    return readShape(shape, value, what);
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new PolicyError('request-invalid', cause.message, { cause });
  }
}

/** Decides one request. */
export function evaluate(engine: Engine, request: EvaluationRequest): Evaluation {
  const { decision, reason, policies, errors, ignored } = engine.decide(questionOf(request));
  const context: EvaluationContext = { reason, policies };
  if (errors.length > 0) context.errors = errors;
  if (ignored !== undefined && ignored.length > 0) {
    context.ignored = ignored.map((part) => (part === 'principal' ? 'subject' : part));
  }
  return { decision, context };
}

/**
 * How a request's words become Cedar's: the schema tells the namespaces of what it names. Cedar's actions have no
 * attributes, so an action's properties are part of the context; what the context itself says wins.
 */
export function questionOf({ subject, action, resource, context = NO_CONTEXT }: EvaluationRequest): Question {
  const question: Question = {
    principal: { type: subject.type, id: subject.id },
    action: { name: action.name },
    resource: { type: resource.type, id: resource.id },
    context: action.properties === undefined ? context : { ...action.properties, ...context },
  };
  if (subject.properties !== undefined || resource.properties !== undefined) {
    question.claimed = {
      ...(subject.properties === undefined ? {} : { principal: subject.properties }),
      ...(resource.properties === undefined ? {} : { resource: resource.properties }),
    };
  }
  return question;
}

const NO_CONTEXT: JsonObject = emptyObject();

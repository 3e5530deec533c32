import type { JsonObject, JsonValue } from '../base/json.ts';
import { isObject, oneOf, optional, record } from '../base/shape.ts';
import {
  type Evaluation,
  type EvaluationRequest,
  evaluate,
  ignoreUnknown,
  parseEvaluation,
  readRequest,
} from './authzen.ts';
import type { Engine } from './engine.ts';
import { PolicyError } from './policy-error.ts';

/** A batch: AuthZEN 1.0, section 7 ("Access Evaluations API"). */
export type EvaluationsRequest = {
  items: EvaluationItem[];
  semantic: 'execute_all' | 'deny_on_first_deny' | 'permit_on_first_permit';
};
/** One of a batch; one that is no request is what is wrong with it. */
export type EvaluationItem = EvaluationRequest | PolicyError;

/** Items of a batch at most. */
export const MAX_EVALUATIONS = 1000;

const optionsShape = record(
  { evaluations_semantic: optional(oneOf('execute_all', 'deny_on_first_deny', 'permit_on_first_permit')) },
  ignoreUnknown,
);

/**
 * Reads a batch. Each item takes what it lacks from the top of the request (section 7.1.1); a request without
 * `evaluations` is one evaluation.
 * @throws PolicyError `request-invalid` where the batch itself is malformed, not where an item is
 */
export function parseEvaluations(value: JsonValue): EvaluationsRequest | EvaluationRequest {
  if (!isObject(value)) throw invalid('must be an object');
  const { evaluations, options = {}, ...defaults } = value;
  if (evaluations === undefined || (Array.isArray(evaluations) && evaluations.length === 0)) {
    return parseEvaluation(value);
  }
  if (!Array.isArray(evaluations)) throw invalid('evaluations: must be a list');
  if (evaluations.length > MAX_EVALUATIONS) {
    throw invalid(`evaluations: at most ${MAX_EVALUATIONS} are answered at once`);
  }
  const { evaluations_semantic: semantic } = readRequest(optionsShape, options, 'request: options');
  return {
    semantic: semantic ?? 'execute_all',
    items: evaluations.map((item) => readItem(item, defaults)),
  };
}

function readItem(item: JsonValue, defaults: JsonObject): EvaluationItem {
  try {
    return parseEvaluation(isObject(item) ? withDefaults(item, defaults) : item);
  } catch (thrown) {
    if (thrown instanceof PolicyError) return thrown;
    throw thrown;
  }
}

/** The fields without which a part is none: only these are taken from a default beside fields of the item. */
const REQUIRED = { subject: ['type', 'id'], action: ['name'], resource: ['type', 'id'] } as const;

/**
 * A part that the item has replaces the default's whole, so that no property is left over from another entity; but
 * it may leave out what a part must have (certification scenario of AuthZEN 1.0, "Batch with default value merging").
 */
function withDefaults(item: JsonObject, defaults: JsonObject): JsonObject {
  const merged = { ...defaults, ...item };
  for (const [part, names] of Object.entries(REQUIRED)) {
    const [own, base] = [item[part], defaults[part]];
    if (!isObject(own) || !isObject(base)) continue;
    const lent = names.filter((name) => !Object.hasOwn(own, name) && Object.hasOwn(base, name));
    merged[part] = { ...own, ...Object.fromEntries(lent.map((name) => [name, base[name] ?? null])) };
  }
  return merged;
}

/** Decides one of a batch; what is no request is a deny that says so. */
export function evaluateItem(engine: Engine, item: EvaluationItem): Evaluation {
  if (!(item instanceof PolicyError)) return evaluate(engine, item);
  return {
    decision: false,
    context: { reason: 'error', policies: [], errors: [{ id: '', message: item.message }] },
  };
}

/**
 * Answers a batch, in order, and stops as its semantic says; the answer that stopped it is the last one (section
 * 7.1.2).
 */
export function answerAll<A extends { decision: boolean }>(
  { items, semantic }: EvaluationsRequest,
  answer: (item: EvaluationItem) => A,
): A[] {
  const answers: A[] = [];
  for (const item of items) {
    const made = answer(item);
    answers.push(made);
    if (semantic === 'deny_on_first_deny' && !made.decision) break;
    if (semantic === 'permit_on_first_permit' && made.decision) break;
  }
  return answers;
}

function invalid(problem: string): PolicyError {
  return new PolicyError('request-invalid', `request: ${problem}`);
}

import {
  type DetailedError,
  type EntityJson,
  type PolicyJson,
  type PolicySet,
  checkParseEntities,
  policyToJson,
  preparsePolicySet,
  schemaToJsonWithResolvedTypes,
  statefulIsAuthorized,
  templateToJson,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';

import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import { messageOf } from '../base/errors.ts';
import type { CompiledPolicy, EntityUid } from './document.ts';
import type { BakedEntity } from './entity-lines.ts';

/*
 * Cedar's own implementation, compiled to WebAssembly: the parser and validator of the pipeline, and the oracle
 * that the engine is tested against. No other file imports it, and nothing on a host loads it.
 */

/** What Cedar finds wrong: `start` counts UTF-8 bytes in the text it was given. */
export type CedarProblem = { message: string; help: string | null; start: number; expected: string | null };

export type Parsed = { json: JsonObject } | { problems: CedarProblem[] };

/** A policy's text as Cedar's JSON. Integers beyond 2^53 - 1 come back rounded. */
export function policyJson(text: string, kind: 'policy' | 'template'): Parsed {
  return guarded(() => {
    const answer = kind === 'policy' ? policyToJson(text) : templateToJson(text);
    return answer.type === 'failure' ? failed(answer.errors) : { json: answer.json as unknown as JsonObject };
  });
}

/** A schema's text as Cedar's JSON, names resolved. */
export function schemaJson(text: string): Parsed {
  return guarded(() => {
    const answer = schemaToJsonWithResolvedTypes(text);
    return answer.type === 'failure' ? failed(answer.errors) : { json: answer.json as unknown as JsonObject };
  });
}

export type PolicyTexts = {
  policies: ReadonlyMap<string, string>;
  templates: ReadonlyMap<string, string>;
  links: readonly { id: string; template: string; values: Readonly<Record<string, EntityUid>> }[];
};

/**
 * What strict validation finds wrong with policies that parse: errors, and warnings too, since a policy that
 * can never apply is a mistake in a file that grants access. `id` is empty where no one policy is to blame.
 */
export function validationProblems(
  texts: PolicyTexts,
  schema: string,
): { id: string; problem: CedarProblem }[] {
  const answer = validate({ validationSettings: { mode: 'strict' }, schema, policies: policySet(texts) });
  if (answer.type === 'failure') return problemsOf(answer.errors).map((problem) => ({ id: '', problem }));
  return [...answer.validationErrors, ...answer.validationWarnings].flatMap(({ policyId, error }) =>
    problemsOf([error]).map((problem) => ({ id: policyId, problem })),
  );
}

function policySet({ policies, templates, links }: PolicyTexts): PolicySet {
  return {
    staticPolicies: Object.fromEntries(policies),
    templates: Object.fromEntries(templates),
    templateLinks: links.map(({ id, template, values }) => ({ newId: id, templateId: template, values })),
  };
}

/** What is wrong with entities under a schema; empty where nothing is. */
export function entityProblems(entities: readonly BakedEntity[], schema: string): CedarProblem[] {
  const answer = checkParseEntities({
    entities: entities.map((entity) => exact(entity) as EntityJson),
    schema,
  });
  return answer.type === 'failure' ? problemsOf(answer.errors) : [];
}

export type CedarQuestion = {
  principal: EntityUid;
  action: EntityUid;
  resource: EntityUid;
  /** Readable without a schema. */
  context: JsonObject;
  /** Entities beside those of the release. */
  described?: readonly BakedEntity[];
};

/** Cedar's decision, its determining policies and those it could not evaluate. */
export type CedarAnswer = { allow: boolean; determining: string[]; errors: string[] };

let prepared = 0;

/**
 * Cedar's own authorizer over policies of a document, or over texts with templates and links, parsed once, and the entities that a question
 * is to be decided over. Under a `name` there is one at a time: a second one replaces the first.
 * @throws TypeError where Cedar can't read the policies, or later a question
 */
export function createCedar(
  policies: readonly CompiledPolicy[] | PolicyTexts,
  entitiesFor: (question: CedarQuestion) => readonly BakedEntity[],
  name = `policies ${(prepared += 1)}`,
): (question: CedarQuestion) => CedarAnswer {
  const set =
    'policies' in policies
      ? policySet(policies)
      : {
          staticPolicies: Object.fromEntries(
            policies.map((policy) => [policy.id, exact(cedarPolicy(policy)) as PolicyJson]),
          ),
        };
  const parsed = preparsePolicySet(name, set);
  if (parsed.type === 'failure') throw new TypeError(parsed.errors.map(({ message }) => message).join('; '));
  // Entities are handed over again and again, mostly in other lists: each is made ready once.
  const ready = new WeakMap<BakedEntity, EntityJson>();
  const readyFor = (list: readonly BakedEntity[]): EntityJson[] =>
    list.map((entity) => {
      let json = ready.get(entity);
      if (json === undefined) ready.set(entity, (json = exact(entity) as EntityJson));
      return json;
    });
  return (question) => {
    const { context, described = [], ...uids } = question;
    const baked = readyFor(entitiesFor(question));
    const answer = statefulIsAuthorized({
      ...uids,
      context: exact(context) as EntityJson['attrs'],
      preparsedPolicySetId: name,
      entities: described.length === 0 ? baked : [...baked, ...readyFor(described)],
    });
    if (answer.type === 'failure')
      throw new TypeError(answer.errors.map(({ message }) => message).join('; '));
    const { decision, diagnostics } = answer.response;
    return {
      allow: decision === 'allow',
      determining: diagnostics.reason,
      errors: diagnostics.errors.map(({ policyId }) => policyId),
    };
  };
}

/** Levels of JSON that its reader takes at most are 127 (serde_json), of which a set of policies takes two itself. */
const MAX_JSON_DEPTH = 125;
/** Left sides inside each other at most; validation overflows its stack at somewhat more than 1,200. */
const MAX_LEFT_DEPTH = 1050;

/** Why Cedar's own engine or validator can't take a policy, if it can't: it would end with nothing but a trap. */
export function tooDeepForCedar(policy: CompiledPolicy): string | undefined {
  if (policy.conditions.some(({ body }) => leftDepth(body) > MAX_LEFT_DEPTH)) {
    return 'a chain of && or || has more than 1,000 parts; a set with contains, or a group of entities, says the same';
  }
  if (jsonDepth(cedarPolicy(policy)) <= MAX_JSON_DEPTH) return undefined;
  return "expressions nest deeper than Cedar's own engine takes, which is some 60 operators inside each other";
}

function jsonDepth(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Object.values(value).reduce<number>((most, member) => Math.max(most, jsonDepth(member)), 0);
}

/** How deep an expression nests where each list of `&&` or `||` is written out, the first part innermost. */
function leftDepth(expression: JsonValue): number {
  if (typeof expression !== 'object' || expression === null) return 0;
  return Object.entries(expression).reduce((most, [name, body]) => {
    const isChain = (name === '&&' || name === '||') && Array.isArray(body);
    if (!isChain) return Math.max(most, 1 + leftDepth(body));
    return body.reduce<number>((left, part) => 1 + Math.max(left, leftDepth(part)), most);
  }, 0);
}

/**
 * A policy of `policy.json` in Cedar's own JSON: lists of `&&` and `||` nest again. Half of a list on each side, which
 * evaluates the same parts in the same order, and nests a thousand of them ten deep.
 */
function cedarPolicy({ effect, principal, action, resource, conditions }: CompiledPolicy): JsonObject {
  return {
    effect,
    principal,
    action,
    resource,
    conditions: conditions.map(({ kind, body }) => ({ kind, body: nested(body) })),
  };
}

function nested(expression: JsonValue): JsonValue {
  if (Array.isArray(expression)) return expression.map(nested);
  if (!isObject(expression)) return expression;
  const out = emptyObject();
  for (const [name, body] of Object.entries(expression)) {
    const isChain = (name === '&&' || name === '||') && Array.isArray(body);
    if (!isChain) out[name] = name === 'Value' ? body : nested(body);
    else return halved(name, body.map(nested));
  }
  return out;
}

function halved(name: string, parts: readonly JsonValue[]): JsonValue {
  const [first = null] = parts;
  if (parts.length <= 1) return first;
  const middle = parts.length >> 1;
  return {
    [name]: { left: halved(name, parts.slice(0, middle)), right: halved(name, parts.slice(middle)) },
  };
}

/** TC39 "JSON.parse source text access"; the runtime has it, TypeScript's library does not name it yet. */
const rawJson = (JSON as typeof JSON & { rawJSON: (text: string) => unknown }).rawJSON;

/** The same value, with integers beyond 2^53 - 1 as JSON text: it crosses to WebAssembly as text, unrounded. */
function exact(value: unknown): unknown {
  if (typeof value === 'bigint') return rawJson(String(value));
  if (Array.isArray(value)) return value.map((member) => exact(member));
  if (!isObject(value)) return value;
  const out: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, member] of Object.entries(value)) out[name] = exact(member);
  return out;
}

/** A text nested so deep that WebAssembly's stack overflows is a text that does not parse. */
function guarded(parse: () => Parsed): Parsed {
  try {
    return parse();
  } catch (thrown) {
    const message = `Cedar's parser gave up (${messageOf(thrown)}); the text may be nested too deep`;
    return { problems: [{ message, help: null, start: 0, expected: null }] };
  }
}

function failed(errors: readonly DetailedError[]): Parsed {
  return { problems: problemsOf(errors) };
}

function problemsOf(errors: readonly DetailedError[]): CedarProblem[] {
  return errors.map(({ message, help, sourceLocations }) => {
    const [place] = sourceLocations ?? [];
    return { message, help, start: place?.start ?? 0, expected: place?.label ?? null };
  });
}

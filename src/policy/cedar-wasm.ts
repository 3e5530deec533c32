import {
  type DetailedError,
  type EntityJson,
  checkParseEntities,
  checkParsePolicySet,
  checkParseSchema,
  isAuthorized,
  policyToJson,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';

export type { DetailedError, EntityJson } from '@cedar-policy/cedar-wasm/nodejs';

/*
 * Cedar's own implementation, compiled to WebAssembly: the parser and validator of the pipeline, and for now
 * also what decides (docs/decisions/0001-engine.md). No other file imports it.
 */

/** What is wrong with a policy's text; empty where it parses as one static policy. */
export function policyProblems(text: string): DetailedError[] {
  const answer = checkParsePolicySet({ staticPolicies: { policy: text } });
  return answer.type === 'failure' ? answer.errors : [];
}

/** The effect and annotations of a policy that parses. */
export function policyHead(text: string): { effect: 'permit' | 'forbid'; id: string | undefined } {
  const answer = policyToJson(text);
  if (answer.type === 'failure') throw new TypeError(`not a policy: ${answer.errors[0]?.message ?? ''}`);
  return { effect: answer.json.effect, id: answer.json.annotations?.['id'] };
}

/** What is wrong with a schema's text; empty where it parses. */
export function schemaProblems(schema: string): DetailedError[] {
  const answer = checkParseSchema(schema);
  return answer.type === 'failure' ? answer.errors : [];
}

export type PolicyProblem = { policyId: string; error: DetailedError };

/**
 * What strict validation finds wrong with policies that parse: errors, and warnings too, since a policy that
 * can never apply is a mistake in a file that grants access.
 */
export function validationProblems(
  policies: Readonly<Record<string, string>>,
  schema: string,
): PolicyProblem[] {
  const answer = validate({
    validationSettings: { mode: 'strict' },
    schema,
    policies: { staticPolicies: policies },
  });
  if (answer.type === 'failure') return answer.errors.map((error) => ({ policyId: '', error }));
  return [...answer.validationErrors, ...answer.validationWarnings];
}

/** What is wrong with entities under a schema; empty where nothing is. */
export function entityProblems(entities: EntityJson[], schema: string): DetailedError[] {
  const answer = checkParseEntities({ entities, schema });
  return answer.type === 'failure' ? answer.errors : [];
}

export type CedarQuestion = {
  principal: { type: string; id: string };
  action: { type: string; id: string };
  resource: { type: string; id: string };
  context: EntityJson['attrs'];
  policies: Readonly<Record<string, string>>;
  entities: EntityJson[];
  schema: string;
};

export type CedarAnswer =
  | { type: 'decided'; allow: boolean; determining: string[]; errors: { id: string; message: string }[] }
  /** The question does not fit the schema. */
  | { type: 'unfit'; message: string };

/** Cedar's decision; a question that does not fit the schema is not decided. */
export function decideWithCedar(question: CedarQuestion): CedarAnswer {
  const { policies, ...call } = question;
  const answer = isAuthorized({ ...call, policies: { staticPolicies: policies }, validateRequest: true });
  if (answer.type === 'failure') {
    return { type: 'unfit', message: answer.errors.map(({ message }) => message).join('; ') };
  }
  const { decision, diagnostics } = answer.response;
  return {
    type: 'decided',
    allow: decision === 'allow',
    determining: diagnostics.reason,
    errors: diagnostics.errors.map(({ policyId, error }) => ({ id: policyId, message: error.message })),
  };
}

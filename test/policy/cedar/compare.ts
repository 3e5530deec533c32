import { type CedarQuestion, type PolicyTexts, createCedar } from '../../../src/policy/cedar-wasm.ts';
import { linkTemplates, readPolicies } from '../../../src/policy/compile-policies.ts';
import { readSchemaText } from '../../../src/policy/compile.ts';
import {
  type CompiledPolicy,
  type PolicyDocument,
  formatPolicyDocument,
  parsePolicyDocument,
} from '../../../src/policy/document.ts';
import { createEngine } from '../../../src/policy/engine.ts';
import { type Case, policyText } from './policy.ts';
import { type Model, actionEntities, schemaText } from './schema.ts';

/** What one side says; both lists sorted. */
export type Outcome = { allow: boolean; determining: string[]; errors: string[] };
export type Compared = {
  question: CedarQuestion;
  engine: Outcome;
  cedar: Outcome;
  /** The engine's messages for what could not be evaluated. */
  messages: string[];
  /** The policies that determined the decision, as the engine has them. */
  determining: CompiledPolicy[];
};

/** Its bytes are read only where a permit is among them, so one that never applies makes sure. */
const [NEVER] = readPolicies({
  file: 'n.cedar',
  text: '@id("never") permit (principal, action, resource) when { false };',
});

/** Asks both sides. Cedar gets the texts and links templates itself; the engine gets `policy.json`, as a host does. */
export function compareCase({ model, policies, entities, questions }: Case): Compared[] {
  const isLinked = (index: number): boolean => Object.keys(policies[index]?.values ?? {}).length > 0;
  const texts = policies.map(policyText);
  const placed = readPolicies({ file: 'p.cedar', text: texts.join('\n') });
  const templates = placed.filter((_, index) => isLinked(index));
  const links = policies
    .filter((_, index) => isLinked(index))
    .map(({ id, values }) => ({
      link: { id: `link of ${id}`, template: id, values },
      file: 'l.yaml',
      line: 1,
    }));
  const compiled = [
    ...placed.filter((_, index) => !isLinked(index)).map(({ policy }) => policy),
    ...linkTemplates(templates, links),
    ...(NEVER === undefined ? [] : [NEVER.policy]),
  ];
  const schema = schemaOf(model);
  const document = { format: 1 as const, schema, policies: compiled, entities: [...entities], openTypes: [] };
  const engine = createEngine(parsePolicyDocument(formatPolicyDocument(document)), 'skip');

  const entriesOf = (linked: boolean): [string, string][] =>
    policies.flatMap(({ id }, index) => (isLinked(index) === linked ? [[id, texts[index] ?? '']] : []));
  const forCedar: PolicyTexts = {
    policies: new Map(entriesOf(false)),
    templates: new Map(entriesOf(true)),
    links: links.map(({ link: { id, template, values } }) => ({
      id,
      template,
      values: Object.fromEntries(Object.entries(values).map(([role, uid]) => [`?${role}`, uid])),
    })),
  };
  const all = [...entities, ...actionEntities(model)];
  const cedar = createCedar(forCedar, () => all, 'differential');
  return questions.map((question) => {
    const { decision, policies: decided, errors } = engine.decide(question);
    const answer = cedar(question);
    const determining = decided.map(({ id }) => id).sort();
    return {
      question,
      engine: { allow: decision, determining, errors: errors.map(({ id }) => id).sort() },
      cedar: { ...answer, determining: answer.determining.sort(), errors: answer.errors.sort() },
      messages: errors.map(({ message }) => message),
      determining: compiled.filter(({ id }) => determining.includes(id)),
    };
  });
}

const schemas = new WeakMap<Model, PolicyDocument['schema']>();

/** Each schema is read once: that takes as long as some questions. */
function schemaOf(model: Model): PolicyDocument['schema'] {
  let schema = schemas.get(model);
  if (schema === undefined) {
    schema = readSchemaText({ file: 'schema.cedarschema', text: schemaText(model) }).json;
    schemas.set(model, schema);
  }
  return schema;
}

/** Whether the two sides say the same. */
export function isSame({ engine, cedar }: Compared): boolean {
  return JSON.stringify(engine) === JSON.stringify(cedar);
}

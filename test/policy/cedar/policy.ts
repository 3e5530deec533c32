import type { CedarQuestion } from '../../../src/policy/cedar-wasm.ts';
import type { EntityUid } from '../../../src/policy/document.ts';
import type { BakedEntity } from '../../../src/policy/entity-lines.ts';
import { makeEntities, makeQuestion, uidsOf } from './entities.ts';
import { type Node, createExpressions, textOf } from './expression.ts';
import { type Random, pick, someOf, times } from './random.ts';
import { type Model, type Type, PLAIN, actionType, quote } from './schema.ts';

/** A policy, or a template with the one policy that fills its slots. */
export type Policy = {
  id: string;
  effect: 'permit' | 'forbid';
  principal: string;
  action: string;
  resource: string;
  conditions: readonly { word: 'when' | 'unless'; body: Node }[];
  values: { principal?: EntityUid; resource?: EntityUid };
};

/** All of a comparison: what is asked about what. */
export type Case = {
  model: Model;
  policies: readonly Policy[];
  entities: readonly BakedEntity[];
  questions: readonly CedarQuestion[];
};

const POLICIES = 16;
/** Policies of a case that are for everybody, and try one form of expression each. */
const PROBES = 3;
const QUESTIONS = 8;

/** Policies, entities and questions that are made from a schema. */
export function makeCase(random: Random, model: Model): Case {
  return {
    model,
    policies: times(POLICIES, (index) => makePolicy(random, model, index)),
    entities: makeEntities(random, model),
    questions: times(QUESTIONS, () => makeQuestion(random, model)),
  };
}

export function policyText({ id, effect, principal, action, resource, conditions }: Policy): string {
  const written = conditions.map(({ word, body }) => ` ${word} { ${textOf(body)} }`).join('');
  return `@id(${quote(id)}) ${effect} (principal${principal}, action${action}, resource${resource})${written};`;
}

function makePolicy(random: Random, model: Model, index: number): Policy {
  const id = `p${index}`;
  const { principals, resources, context } = pick(random, model.actions.slice(2));
  const scene = { principal: pick(random, principals), resource: pick(random, resources), context };
  const values: Policy['values'] = {};
  const scope = (role: 'principal' | 'resource'): string => {
    const uid = (): EntityUid =>
      pick(random, uidsOf(model, pick(random, [scene[role], pick(random, model.entityTypes).name])));
    const text = ({ type, id: name }: EntityUid): string => `${type}::${quote(name)}`;
    const isTemplate = random(5) === 0;
    const slot = isTemplate ? `?${role}` : text(uid());
    const forms = [` == ${slot}`, ` in ${slot}`, ` in ${slot}`, ` is ${scene[role]} in ${slot}`];
    if (isTemplate) values[role] = uid();
    else
      forms.push(...times(8, () => ''), ` is ${scene[role]}`, ` is ${pick(random, model.entityTypes).name}`);
    return pick(random, forms);
  };
  const actions = [...model.actions.map((action) => action.id), 'unknown'].map(
    (name) => `${actionType(model)}::${quote(name)}`,
  );
  const action = pick(random, [
    ...times(6, () => ''),
    ` == ${pick(random, actions)}`,
    ` in ${pick(random, actions)}`,
    ` in [${someOf(random, actions, 2).join(', ')}]`,
  ]);
  const { make, probe } = createExpressions(random, model, scene);
  const wrong: Type = { kind: pick(random, PLAIN) };
  const conditions = times(1 + random(2), () => ({
    word: pick(random, ['when', 'unless'] as const),
    body: make(random(20) === 0 ? wrong : { kind: 'Bool' }, 1 + random(3)),
  }));
  if (index < PROBES) {
    const body = probe(random(1000));
    const conditions = [{ word: 'when' as const, body }];
    return { id, effect: 'permit', principal: '', action: '', resource: '', conditions, values: {} };
  }
  return {
    id,
    effect: pick(random, ['permit', 'permit', 'permit', 'forbid'] as const),
    principal: scope('principal'),
    action,
    resource: scope('resource'),
    conditions,
    values,
  };
}

import type { BakedEntity } from '../../../src/policy/entity-lines.ts';
import { type Node, leaf } from './expression.ts';
import type { Case, Policy } from './policy.ts';

/** Smaller cases that are tried at most; each costs some milliseconds. */
const MAX_TRIES = 3000;

/** A smallest case for which `holds` still does: nothing can be left out of it, one thing at a time. */
export function shrinkCase(start: Case, holds: (smaller: Case) => boolean): Case {
  let best = start;
  let tries = 0;
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (const smaller of smallerCases(best)) {
      if ((tries += 1) > MAX_TRIES) return best;
      if (!holds(smaller)) continue;
      [best, isSmaller] = [smaller, true];
      break;
    }
  }
  return best;
}

function* smallerCases(of: Case): Generator<Case> {
  for (const questions of fewer(of.questions)) yield { ...of, questions };
  for (const policies of fewer(of.policies)) yield { ...of, policies };
  for (const entities of fewer(of.entities)) yield { ...of, entities };
  for (const policies of changed(of.policies, smallerPolicies)) yield { ...of, policies };
  for (const entities of changed(of.entities, smallerEntities)) yield { ...of, entities };
  const smallerContexts = (question: Case['questions'][number]): Case['questions'] =>
    withoutEach(question.context).map((context) => ({ ...question, context }));
  for (const questions of changed(of.questions, smallerContexts)) yield { ...of, questions };
}

function* smallerPolicies(policy: Policy): Generator<Policy> {
  for (const conditions of fewer(policy.conditions, 0)) yield { ...policy, conditions };
  for (const role of ['principal', 'resource'] as const) {
    if (policy[role] === '') continue;
    const { [role]: _, ...values } = policy.values;
    yield { ...policy, [role]: '', values };
  }
  if (policy.action !== '') yield { ...policy, action: '' };
  for (const conditions of changed(policy.conditions, ({ word, body }) =>
    smallerNodes(body).map((node) => ({ word, body: node })),
  )) {
    yield { ...policy, conditions };
  }
}

/** In place of an expression: the simplest ones, one of its parts, or itself with a smaller part. */
function smallerNodes(node: Node): Node[] {
  const { parts, write } = node;
  if (parts.length === 0) return [];
  const simple = ['true', '1', '""'].map(leaf);
  const inside = [...changed(parts, smallerNodes)].map((smaller) => ({ parts: smaller, write }));
  return [...parts, ...simple, ...inside];
}

function smallerEntities(entity: BakedEntity): BakedEntity[] {
  const { tags } = entity;
  return [
    ...[...fewer(entity.parents, 0)].map((parents) => ({ ...entity, parents: [...parents] })),
    ...withoutEach(entity.attrs).map((attrs) => ({ ...entity, attrs })),
    ...(tags === undefined ? [] : withoutEach(tags).map((rest) => ({ ...entity, tags: rest }))),
  ];
}

/** A list with half of it, then with one member left out; of `least` at least. */
function* fewer<T>(list: readonly T[], least = 1): Generator<readonly T[]> {
  const half = Math.floor(list.length / 2);
  if (half > least) yield* [list.slice(0, half), list.slice(half)];
  if (list.length > least) for (const index of list.keys()) yield list.filter((_, at) => at !== index);
}

/** A list with one member changed. */
function* changed<T>(list: readonly T[], change: (member: T) => Iterable<T>): Generator<T[]> {
  for (const [index, member] of list.entries()) {
    for (const smaller of change(member)) yield list.map((other, at) => (at === index ? smaller : other));
  }
}

function withoutEach<T extends object>(object: T): T[] {
  return Object.keys(object).map(
    (left) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== left)) as T,
  );
}

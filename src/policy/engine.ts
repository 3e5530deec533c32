import type { OpenPolicyDocument, PolicyPlace } from './document.ts';
import { type EntityStore, loadEntities } from './entity-store.ts';
import { EvaluationError } from './evaluation-error.ts';
import type { Situation } from './expression.ts';
import { type LoadedPolicy, loadPolicy } from './load-policy.ts';
import { type Names, resolveNames } from './names.ts';
import { indexPolicies } from './policy-index.ts';
import { type IgnoredPart, type Question, readQuestionAsIs, readQuestionChecked } from './read-question.ts';
import { type Schema, readSchema } from './schema.ts';
import type { Value } from './value.ts';

export type { PolicyPlace } from './document.ts';
export type { IgnoredPart, Question } from './read-question.ts';

export type Decision = {
  decision: boolean;
  reason: 'permit' | 'forbid' | 'no-permit' | 'error';
  /** The policies that decided: the permits, the forbids, or the forbids that could not be evaluated. */
  policies: PolicyPlace[];
  /** Policies that could not be evaluated; a question that does not fit the schema has the id `""`. */
  errors: { id: string; message: string }[];
  /** What was claimed and not used: baked data wins, and only what the schema names of open types is taken. */
  ignored?: IgnoredPart[];
};

export type Engine = {
  decide: (question: Question) => Decision;
  /** The ids of a type's entities in the release, always in the same order; none where there is no such type. */
  idsOf: (type: string) => readonly string[];
  /** The actions that a principal and a resource of these types can be asked about, by name. */
  actionNames: (resource: string, principal: string) => readonly string[];
};

/**
 * What happens where a policy can't be evaluated. `deny`: if it is a forbid, the answer is a deny with reason
 * `error`, since what it guards must not open because of a mistake in it; a permit is skipped. `skip`: either is
 * skipped, and questions are not checked against the schema, as Cedar itself does (for conformance).
 */
export type ErrorMode = 'deny' | 'skip';

/**
 * Makes what decides out of a policy document. In mode `deny`, the default, a question that the schema can't read
 * is a deny with reason `error`, one with an action that is not for its principal or resource a deny with reason
 * `no-permit`; attributes of the context that the schema does not name are left out.
 * The time of a decision depends on the policies that may apply to it, not on how many others there are.
 * @throws PolicyError `document-invalid`, `entities-invalid`
 */
export function createEngine(document: OpenPolicyDocument, mode: ErrorMode = 'deny'): Engine {
  const schema = readSchema(document.schema);
  const store = loadEntities(document.entities, schema.actions);
  const names = { entity: store.intern };
  const policies = document.policies.map((policy, order) => loadPolicy(policy, order, names));
  const index = indexPolicies(policies);
  const requestNames = resolveNames(schema, store);
  const ask =
    mode === 'deny'
      ? readQuestionChecked(document, schema, store, requestNames)
      : readQuestionAsIs(schema, store);

  let tally = newTally();
  let situation: Situation | undefined;
  const visit = (policy: LoadedPolicy): void => {
    if (situation !== undefined) tryPolicy(policy, situation, tally);
  };
  return {
    decide: (question) => {
      const asked = ask(question);
      if (asked.kind !== 'ready') {
        const reason = asked.kind === 'malformed' ? 'error' : 'no-permit';
        const errors = [{ id: '', message: asked.problem }];
        return { decision: false, reason, policies: [], errors, ignored: asked.ignored };
      }
      tally = newTally();
      situation = asked.situation;
      index.search(situation.principal, situation.action, situation.resource, visit);
      return conclude(tally, asked.ignored, mode);
    },
    idsOf: idLister(schema, store, requestNames),
    actionNames: (resource, principal) =>
      requestNames.actionNames(requestNames.type(resource), requestNames.type(principal)),
  };
}

/** Lists are made when they are first asked for: most releases are never searched. */
function idLister({ entityTypes }: Schema, store: EntityStore, names: Names): Engine['idsOf'] {
  const lists = new Map<string, readonly string[]>();
  return (name) => {
    const type = names.type(name);
    const rules = entityTypes.get(type);
    if (rules === undefined) return [];
    let ids = lists.get(type);
    // The entities of an enumerated type are those that the schema names.
    if (ids === undefined) lists.set(type, (ids = rules.choices ? [...rules.choices] : store.idsOf(type)));
    return ids;
  };
}

type Failure = { policy: LoadedPolicy; message: string };
type Tally = { permits: LoadedPolicy[]; forbids: LoadedPolicy[]; failures: Failure[] };

function newTally(): Tally {
  return { permits: [], forbids: [], failures: [] };
}

function tryPolicy(policy: LoadedPolicy, situation: Situation, tally: Tally): void {
  try {
    const { code, wanted, more } = policy;
    if (code !== undefined && !holds(wanted, code(situation))) return;
    if (more.length > 0 && !more.every((other) => holds(other.wanted, other.code(situation)))) return;
  } catch (thrown) {
    if (!(thrown instanceof EvaluationError)) throw thrown;
    tally.failures.push({ policy, message: thrown.message });
    return;
  }
  (policy.effect === 'permit' ? tally.permits : tally.forbids).push(policy);
}

function holds(wanted: boolean, value: Value): boolean {
  if (typeof value !== 'boolean') throw new EvaluationError('type error: a condition must be a bool');
  return value === wanted;
}

/** Cedar's rule: a permit and no forbid; and in mode `deny`, no forbid that failed. */
function conclude({ permits, forbids, failures }: Tally, ignored: IgnoredPart[], mode: ErrorMode): Decision {
  const errors = failures
    .sort((a, b) => a.policy.order - b.policy.order)
    .map(({ policy, message }) => ({ id: policy.place.id, message }));
  if (forbids.length > 0) {
    return { decision: false, reason: 'forbid', policies: places(forbids), errors, ignored };
  }
  const failed = failures.map(({ policy }) => policy).filter(({ effect }) => effect === 'forbid');
  if (mode === 'deny' && failed.length > 0) {
    return { decision: false, reason: 'error', policies: places(failed), errors, ignored };
  }
  const decision = permits.length > 0;
  return { decision, reason: decision ? 'permit' : 'no-permit', policies: places(permits), errors, ignored };
}

function places(policies: LoadedPolicy[]): PolicyPlace[] {
  if (policies.length > 1) policies.sort((a, b) => a.order - b.order);
  return policies.map(({ place }) => place);
}

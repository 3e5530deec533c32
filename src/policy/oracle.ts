import { createCedarByAction } from './cedar-by-action.ts';
import type { CedarAnswer, CedarQuestion } from './cedar-wasm.ts';
import { type PolicyDocument, formatUid } from './document.ts';
import { loadEntities } from './entity-store.ts';
import type { Decision, Engine } from './engine.ts';
import { type Question, readQuestionChecked } from './read-question.ts';
import { jsonOfRecord } from './read-value.ts';
import { readSchema } from './schema.ts';

/** Where the engine and Cedar's own implementation do not decide alike. */
export type Disagreement = { question: Question; engine: Decision; cedar: CedarAnswer };

/**
 * Asks the engine and cedar-wasm the same questions, so that a build can refuse to go on where they disagree.
 * What must be the same: the decision, the policies that determined it, and those that could not be evaluated;
 * but where only a forbid that failed stands against a permit, the engine denies and Cedar does not (engine.ts).
 * A question that does not fit the schema is not asked.
 */
export function findDisagreements(
  document: PolicyDocument,
  engine: Engine,
  questions: readonly Question[],
  onProgress: (done: number, total: number) => void = () => undefined,
): Disagreement[] {
  const actions = readSchema(document.schema).actions.map(({ uid, parents }) => ({
    uid,
    parents,
    attrs: {},
  }));
  const written = new Set(document.entities.map(({ uid }) => formatUid(uid)));
  // Cedar is given no schema, so the actions that only the schema names are added to the entities.
  const entities = [...document.entities, ...actions.filter(({ uid }) => !written.has(formatUid(uid)))];
  const cedar = createCedarByAction(document.policies, entities);
  const read = cedarReader(document);
  const forbids = new Set(document.policies.filter(({ effect }) => effect === 'forbid').map(({ id }) => id));
  const found: Disagreement[] = [];
  for (const [index, question] of questions.entries()) {
    onProgress(index, questions.length);
    const asked = read(question);
    if (asked === undefined) continue;
    const answer = cedar(asked);
    const decision = engine.decide(question);
    if (!agree(decision, answer, forbids)) found.push({ question, engine: decision, cedar: answer });
  }
  return found;
}

function agree(decision: Decision, cedar: CedarAnswer, forbids: ReadonlySet<string>): boolean {
  const same = (a: readonly string[], b: readonly string[]): boolean =>
    JSON.stringify(a.toSorted()) === JSON.stringify(b.toSorted());
  const policies = decision.policies.map(({ id }) => id);
  if (
    !same(
      decision.errors.map(({ id }) => id),
      cedar.errors,
    )
  ) {
    return false;
  }
  const failed = cedar.errors.filter((id) => forbids.has(id));
  const isForbidden = !cedar.allow && cedar.determining.length > 0;
  if (failed.length > 0 && !isForbidden) return decision.reason === 'error' && same(policies, failed);
  return decision.decision === cedar.allow && same(policies, cedar.determining);
}

function cedarReader(document: PolicyDocument): (question: Question) => CedarQuestion | undefined {
  const schema = readSchema(document.schema);
  const store = loadEntities(document.entities, schema.actions);
  const read = readQuestionChecked(document, schema, store);
  return (question) => {
    const asked = read(question);
    if (asked.kind !== 'ready') return undefined;
    const { principal, action, resource, context, described } = asked.situation;
    return {
      principal: { type: principal.type, id: principal.id },
      action: { type: action.type, id: action.id },
      resource: { type: resource.type, id: resource.id },
      context: jsonOfRecord(context),
      described: described.map((entity) => ({
        uid: { type: entity.type, id: entity.id },
        attrs: jsonOfRecord(entity.data()?.attrs ?? context),
        parents: [],
      })),
    };
  };
}

/*
 * npm run -s bench:tests -- [--json]
 *
 * Times what "sealborn build" and "sealborn test" do with each question of a policy repository's tests: ask the engine
 * of the host and Cedar's own, and compare. `firstMs` is what the first question of each action costs, for which Cedar
 * is given the policies; `questionMs` what every further one does.
 */
import { createEngine } from '../src/policy/engine.ts';
import { findDisagreements } from '../src/policy/oracle.ts';
import { makeDocument, makeQuestions } from './decide-data.ts';

type Row = {
  policies: number;
  entities: number;
  firstMs: number;
  questionMs: number;
  minutesFor10000: number;
};

const ENTITIES = 3_000;
const ACTIONS = 5;
const rows = [10, 100, 1_000, 5_000].map((policies) => measure(policies, policies > 1_000 ? 200 : 400));
if (process.argv.includes('--json')) {
  process.stdout.write(`${JSON.stringify({ bench: 'tests', goals: [], rows }, null, 2)}\n`);
} else console.table(rows);

function measure(policies: number, count: number): Row {
  const document = makeDocument(policies, ENTITIES);
  const engine = createEngine(document);
  const questions = makeQuestions(policies, ENTITIES, count + ACTIONS);
  const few = timeOf(() => findDisagreements(document, engine, firstOfEach(questions)));
  const many = timeOf(() => findDisagreements(document, engine, questions));
  const questionMs = (many - few) / (questions.length - ACTIONS);
  return {
    policies,
    entities: ENTITIES,
    firstMs: Math.round(few),
    questionMs: Math.round(questionMs * 100) / 100,
    minutesFor10000: Math.round((few + questionMs * 10_000) / 6_000) / 10,
  };
}

function timeOf(run: () => unknown[]): number {
  const start = performance.now();
  const found = run();
  if (found.length > 0) throw new Error('the engines disagree');
  return performance.now() - start;
}

function firstOfEach<T extends { action: { id: string } }>(questions: readonly T[]): T[] {
  return [...new Map(questions.toReversed().map((question) => [question.action.id, question])).values()];
}

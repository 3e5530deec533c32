/*
 * npm run -s bench:decide -- [--json]
 *
 * Times a decision of the engine beside one of cedar-wasm (policies parsed beforehand, entities handed over with
 * each question, as its interface wants) for 10 to 5,000 policies and 3 to 100,000 entities, and the load of
 * policy.json. Every time is of one call, clock reading included; the two must agree on what they decide.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { V8_FLAGS } from '../src/host/v8-flags.ts';
import { createCedar } from '../src/policy/cedar-wasm.ts';
import { formatPolicyDocument, openPolicyDocument, parsePolicyDocument } from '../src/policy/document.ts';
import { type Engine, createEngine } from '../src/policy/engine.ts';
import { type BenchQuestion, makeDocument, makeQuestions } from './decide-data.ts';

const POLICIES = [10, 100, 1_000, 5_000];
const ENTITIES = [3, 3_000, 100_000];
/** What cedar-wasm may spend on one cell, in milliseconds. */
const WASM_BUDGET = 2_500;
const OURS_CALLS = 60_000;

type Row = {
  policies: number;
  entities: number;
  oursP50us: number;
  oursP99us: number;
  wasmP50us: number | null;
  wasmP99us: number | null;
  wasmCalls: number;
  ratio: number | null;
  /** Reading policy.json and making the engine, in a process of its own, as an agent's start does. */
  loadMs: number;
  /** The growth of that process's resident memory, and of its heap after a collection. */
  rssMiB: number;
  heapMiB: number;
  documentMiB: number;
};
type Load = { loadMs: number; rssMiB: number; heapMiB: number; documentMiB: number };

if (process.argv[2] === '--load') process.stdout.write(JSON.stringify(measureLoad(process.argv[3] ?? '')));
else report(ENTITIES.flatMap((entities) => POLICIES.map((policies) => measure(policies, entities))));

function measure(policies: number, entities: number): Row {
  const bytes = formatPolicyDocument(makeDocument(policies, entities));
  const document = parsePolicyDocument(bytes);
  const engine = createEngine(document);
  const questions = makeQuestions(policies, entities, 2_000);
  const ours = timeOurs(engine, questions);
  const cedar = createCedar(document.policies, () => document.entities);
  const wasm = timeWasm(cedar, engine, questions);
  const { loadMs, rssMiB, heapMiB, documentMiB } = loadApart(bytes);
  return {
    policies,
    entities,
    oursP50us: quantile(ours, 0.5),
    oursP99us: quantile(ours, 0.99),
    wasmP50us: wasm.length === 0 ? null : quantile(wasm, 0.5),
    wasmP99us: wasm.length < 100 ? null : quantile(wasm, 0.99),
    wasmCalls: wasm.length,
    ratio: wasm.length === 0 ? null : Math.round(quantile(wasm, 0.5) / quantile(ours, 0.5)),
    loadMs,
    rssMiB,
    heapMiB,
    documentMiB,
  };
}

/** Times of single calls, in nanoseconds, sorted. */
function timeOurs(engine: Engine, questions: readonly BenchQuestion[]): Float64Array {
  const times = new Float64Array(OURS_CALLS);
  let permits = 0;
  for (let round = -20_000; round < OURS_CALLS; round += 1) {
    const question = questions[Math.abs(round) % questions.length]!;
    const start = process.hrtime.bigint();
    const { decision } = engine.decide(question);
    const end = process.hrtime.bigint();
    if (decision) permits += 1;
    if (round >= 0) times[round] = Number(end - start);
  }
  if (permits === 0) throw new Error('nothing was permitted: the questions do not reach the policies');
  return times.sort();
}

/**
 * The p50 at the most policies over that at 100, the two asked in turns: what else the machine does, and what its
 * caches hold of other programs, changes from one minute to the next and is the same for both then.
 */
function ratioInTurns(entities: number): number {
  const sizes = [100, Math.max(...POLICIES)];
  const pairs = sizes.map((policies) => ({
    engine: createEngine(parsePolicyDocument(formatPolicyDocument(makeDocument(policies, entities)))),
    questions: makeQuestions(policies, entities, 2_000),
    rounds: [] as number[],
  }));
  for (let round = 0; round < 20; round += 1) {
    for (const { engine, questions, rounds } of pairs) {
      const times = Float64Array.from(questions, (question) => {
        const start = process.hrtime.bigint();
        engine.decide(question);
        return Number(process.hrtime.bigint() - start);
      });
      rounds.push(times.sort()[questions.length / 2] ?? Number.NaN);
    }
  }
  const [few = Number.NaN, many = Number.NaN] = pairs.map(({ rounds }) => rounds.sort((a, b) => a - b)[10]);
  return many / few;
}

function timeWasm(
  cedar: ReturnType<typeof createCedar>,
  engine: Engine,
  questions: readonly BenchQuestion[],
): Float64Array {
  const times: number[] = [];
  const deadline = performance.now() + WASM_BUDGET;
  for (const [index, question] of questions.entries()) {
    const start = process.hrtime.bigint();
    const { allow } = cedar(question);
    const end = process.hrtime.bigint();
    // The first calls compile; where there is time for few, they count.
    if (index >= 20 || performance.now() > deadline) times.push(Number(end - start));
    if (allow !== engine.decide(question).decision) throw new Error('the engines disagree');
    if (performance.now() > deadline) break;
  }
  return Float64Array.from(times).sort();
}

function quantile(sorted: Float64Array, q: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
  return Math.round(value / 10) / 100;
}

/** In a process of its own that does nothing else, started with the flags of the executable; the middle one of three. */
function loadApart(document: Buffer): Load {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-bench-'));
  const file = join(directory, 'policy.json');
  try {
    writeFileSync(file, document);
    const runs = [1, 2, 3].map(() => loadOnce(file)).sort((a, b) => a.loadMs - b.loadMs);
    return runs[1] ?? loadOnce(file);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function loadOnce(file: string): Load {
  const script = fileURLToPath(import.meta.url);
  const run = spawnSync(process.execPath, [...V8_FLAGS, script, '--load', file], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`measuring the load failed: ${run.stderr}`);
  return JSON.parse(run.stdout) as Load;
}

function measureLoad(file: string): Load {
  collectGarbage();
  const before = process.memoryUsage();
  let bytes: Buffer | undefined = readFileSync(file);
  const documentMiB = mebibytes(bytes.length);
  const start = performance.now();
  const engine = createEngine(openPolicyDocument(bytes));
  const loadMs = Math.round(performance.now() - start);
  bytes = undefined;
  const rssMiB = mebibytes(process.memoryUsage().rss - before.rss);
  collectGarbage();
  const heapMiB = mebibytes(process.memoryUsage().heapUsed - before.heapUsed);
  const uid = { type: 'User', id: 'user-0' };
  engine.decide({ principal: uid, action: { name: 'Read' }, resource: uid, context: {} });
  return { loadMs, rssMiB, heapMiB, documentMiB };
}

function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

function mebibytes(bytes: number): number {
  return Math.round((bytes / (1 << 20)) * 10) / 10;
}

function report(rows: readonly Row[]): void {
  const at = (policies: number, entities: number): Row =>
    rows.find((row) => row.policies === policies && row.entities === entities)!;
  const goal = (name: string, value: number, unit: string, wanted: number, atLeast = false): object => ({
    name,
    value,
    unit,
    goal: wanted,
    met: atLeast ? value >= wanted : value <= wanted,
  });
  const worst = (pick: (row: Row) => number): number => Math.max(...rows.map(pick));
  const goals = [
    ...ENTITIES.map((entities) =>
      goal(`p50 of a decision at 100 policies, ${entities} entities`, at(100, entities).oursP50us, 'us', 2),
    ),
    ...ENTITIES.map((entities) => {
      return goal(
        `p50 at 5,000 policies over p50 at 100, in turns, ${entities} entities`,
        Math.round(ratioInTurns(entities) * 100) / 100,
        'x',
        2,
      );
    }),
    ...ENTITIES.map((entities) =>
      goal(
        `times faster than cedar-wasm at 100 policies, ${entities} entities`,
        at(100, entities).ratio ?? 0,
        'x',
        100,
        true,
      ),
    ),
    goal(
      'load of 100,000 entities',
      worst((row) => row.loadMs),
      'ms',
      1_000,
    ),
    goal(
      'memory of 100,000 entities, resident, while loading',
      worst((row) => row.rssMiB),
      'MiB',
      150,
    ),
    goal(
      'memory of 100,000 entities, heap, loaded',
      worst((row) => row.heapMiB),
      'MiB',
      150,
    ),
  ];
  if (process.argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ bench: 'decide', goals, rows }, null, 2)}\n`);
    return;
  }
  console.table(rows);
  console.table(goals);
  process.stdout.write(
    'us: microseconds a decision, single calls. wasmP99us is empty below 100 calls: cedar-wasm gets ' +
      `${WASM_BUDGET / 1000} s a cell.\n`,
  );
}

import { describe, expect, it } from 'vitest';

import { type Compared, compareCase, isSame } from './cedar/compare.ts';
import { textOf } from './cedar/expression.ts';
import { KINDS, kindsOf } from './cedar/kinds.ts';
import { type Case, makeCase, policyText } from './cedar/policy.ts';
import { makeRandom } from './cedar/random.ts';
import { type Model, makeModel, schemaText } from './cedar/schema.ts';
import { shrinkCase } from './cedar/shrink.ts';

/*
 * The engine beside Cedar's own implementation, over schemas, policies, templates, entities and requests that are
 * made up; most fit each other, some do not, and both sides evaluate them unvalidated. Decision, determining policies
 * and those that could not be evaluated must be the same. SEALBORN_SEED repeats a run, SEALBORN_ROUNDS makes it
 * longer (8 decisions a round).
 */
const SEED = Number(process.env['SEALBORN_SEED'] ?? Date.now() % 2 ** 31);
const ROUNDS = Number(process.env['SEALBORN_ROUNDS'] ?? 300);
/** Reading a schema takes as long as some questions. */
const ROUNDS_PER_SCHEMA = 4;

/** Every way to fail that the language has, as the engine's messages say it. */
const FAILURES = [
  /^integer overflow: .* \+/,
  /^integer overflow: .* -/,
  /^integer overflow: .* \*/,
  /^type error: expected bool/,
  /^type error: expected long/,
  /^type error: expected string/,
  /^type error: expected set/,
  /^type error: expected entity, /,
  /^type error: expected entity or set of entities/,
  /^type error: expected record or entity/,
  /^type error: expected decimal/,
  /^type error: expected ipaddr/,
  /^type error: expected datetime/,
  /^type error: expected duration/,
  /^type error: a condition must be a bool/,
  /^the entity .* does not exist/,
  /does not have the attribute/,
  /does not have the tag/,
  /is not a decimal/,
  /^the decimal .* is out of range/,
  /is not an IP address/,
  /is not a datetime/,
  /is not a duration/,
  /^the duration .* is out of range/,
  /does not take 2 arguments/,
];

describe('createEngine', () => {
  it(`decides as cedar-wasm does (seed ${SEED})`, { timeout: 120_000 + ROUNDS * 200 }, () => {
    process.stdout.write(`differential: seed ${SEED}, ${ROUNDS} rounds\n`);
    const random = makeRandom(SEED);
    const kinds = new Map(KINDS.map((kind) => [kind, 0]));
    const failures = new Map(FAILURES.map((failure) => [failure, 0]));
    const tally = { decisions: 0, permits: 0, forbids: 0, errors: 0 };
    const count = ({ engine, determining, messages }: Compared): void => {
      tally.decisions += 1;
      tally.errors += messages.length;
      if (engine.allow) tally.permits += 1;
      else if (determining.length > 0) tally.forbids += 1;
      for (const kind of determining.flatMap(kindsOf)) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      for (const message of messages) {
        for (const failure of FAILURES) {
          if (failure.test(message)) failures.set(failure, (failures.get(failure) ?? 0) + 1);
        }
      }
    };
    let model: Model | undefined;
    const isMissing = (): boolean => [...kinds.values(), ...failures.values()].includes(0);
    // Rounds are added until everything was reached, which chance alone could miss.
    for (let round = 0; round < ROUNDS || (isMissing() && round < 4 * ROUNDS); round += 1) {
      if (model === undefined || round % ROUNDS_PER_SCHEMA === 0) model = makeModel(random);
      const made = makeCase(random, model);
      const compared = compareCase(made);
      if (!compared.every(isSame)) reportDifference(made, round);
      for (const one of compared) count(one);
    }
    process.stdout.write(`differential: ${JSON.stringify({ ...tally, kinds: kinds.size })}\n`);
    console.log(
      [...kinds, ...failures]
        .sort((a, b) => a[1] - b[1])
        .slice(0, 14)
        .map(String)
        .join(' | '),
    );
    // The generator is of use only while all of these happen.
    expect(Math.min(tally.permits, tally.forbids, tally.errors)).toBeGreaterThan(ROUNDS / 5);
    expect([...kinds].filter(([, times]) => times === 0)).toEqual([]);
    expect([...failures].filter(([, times]) => times === 0)).toEqual([]);
    expect([...kinds.keys()].filter((kind) => !KINDS.includes(kind))).toEqual([]);
  });
});

describe('shrinkCase', () => {
  it('leaves of a case what it takes to show something, and nothing else', () => {
    const shows = ({ policies }: Case): boolean =>
      policies.some((policy) => policyText(policy).includes(' like "'));
    const random = makeRandom(1);
    let made = makeCase(random, makeModel(random));
    while (!shows(made)) made = makeCase(random, makeModel(random));
    const { policies, entities, questions } = shrinkCase(made, shows);
    expect([policies.length, entities.length, questions.length]).toEqual([1, 1, 1]);
    const [{ body } = { body: undefined }] = policies[0]?.conditions ?? [];
    expect(body === undefined ? '' : textOf(body)).toMatch(/^\(\((true|1|[^ ]*)\) like "[^"]*"\)$/);
  });
});

/** Fails with the smallest case that shows the difference. */
function reportDifference(made: Case, round: number): never {
  const differs = (smaller: Case): boolean => !compareCase(smaller).every(isSame);
  const small = shrinkCase(made, differs);
  const different = compareCase(small).find((one) => !isSame(one));
  const shown = [
    `seed ${SEED}, round ${round}`,
    schemaText(small.model),
    ...small.policies.flatMap((policy) => [policyText(policy), `  links: ${show(policy.values)}`]),
    ...small.entities.map(show),
    ...[different?.question, different?.engine, different?.cedar, different?.messages].map(show),
  ];
  throw new Error(`the engine and Cedar differ:\n${shown.join('\n')}`);
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === 'bigint' ? `${member}n` : member));
}

import { BaseError } from '../base/errors.ts';
import { type Reader, jsonObject, list, optional, record, text } from '../base/shape.ts';
import {
  MAX_CASES,
  MAX_MATRICES,
  type TestCase,
  matrixFields,
  permitsOf,
  takePermit,
} from '../base/test-case.ts';
import { readYaml } from '../base/yaml.ts';
import { questionOf } from './authzen.ts';
import { type EntityUid, formatUid } from './document.ts';
import type { Decision, Engine, Question } from './engine.ts';
import { entityUid } from '../base/entity-uid.ts';
import { PolicyError } from './policy-error.ts';

/** A case and what it came to. */
export type TestOutcome = { case: TestCase; decision: Decision; passed: boolean };
export type TestResult = {
  outcomes: TestOutcome[];
  /** Policies that decided none of the cases, sorted. */
  untested: string[];
};

const object = jsonObject();

/** Read by the room access/, which makes cases of them too. */
const requests: Reader<unknown> = (value) => value;

const fileShape = record({
  requests: optional(requests),
  tests: optional(
    list(
      record({
        ...matrixFields,
        actions: list(text({ max: 1024 }), { min: 1, max: 1000 }),
        resources: list(entityUid, { min: 1, max: 1000 }),
        context: optional(object),
        properties: optional(object),
      }),
      { max: MAX_MATRICES },
    ),
  ),
});

/**
 * Reads a file of `tests/`: matrices of principals × actions × resources. What is listed under `permit`, as
 * `principal action resource`, must be permitted; everything else must be denied.
 * @throws PolicyError `tests-invalid` with file and line; also where a `permit` is not in its matrix
 */
export function readTestMatrix(bytes: Uint8Array, file: string): TestCase[] {
  try {
    const { value, yaml } = readYaml(bytes, file, fileShape);
    const cases: TestCase[] = [];
    if (value.tests === undefined && value.requests === undefined) {
      throw new PolicyError('tests-invalid', `${file} has neither "tests" nor "requests"`);
    }
    (value.tests ?? []).forEach((test, index) => {
      const line = yaml.lineOf(['tests', index]);
      const permits = permitsOf(test.permit);
      for (const principal of test.principals) {
        for (const action of test.actions) {
          for (const resource of test.resources) {
            const names = [short(principal), formatUid(principal)].flatMap((a) =>
              [short(resource), formatUid(resource)].map((b) => `${a} ${action} ${b}`),
            );
            const expected = takePermit(permits, names);
            const { context, properties, environments } = test;
            cases.push({
              file,
              line,
              test: test.name,
              principal,
              action,
              resource,
              context,
              properties,
              environments,
              expected,
            });
            if (cases.length > MAX_CASES)
              throw new PolicyError('tests-invalid', `${file}: more than ${MAX_CASES} cases`);
          }
        }
      }
      for (const [words, at] of permits) {
        throw new PolicyError(
          'tests-invalid',
          `${file}:${yaml.lineOf(['tests', index, 'permit', at])}: "${words}" is not in the matrix of this test`,
          {
            hint: 'Write it as "Type::id Action Type::id", with names listed under principals, actions and resources.',
          },
        );
      }
    });
    return cases;
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new PolicyError('tests-invalid', cause.message, {
      cause,
      hint: 'Each test has name, principals, actions, resources and permit; those of requests have requests instead.',
    });
  }
}

function short({ type, id }: EntityUid): string {
  return `${type}::${id}`;
}

/** Asks every case of the engine, and says which policies no case turned on. */
export function runMatrix(
  engine: Engine,
  cases: readonly TestCase[],
  policyIds: readonly string[],
): TestResult {
  const decided = new Set<string>();
  const outcomes = cases.map((test): TestOutcome => {
    const decision = engine.decide(questionOfCase(test));
    for (const { id } of decision.policies) decided.add(id);
    // A question that could not be read proves nothing, whatever was expected: the test is misspelt.
    const isMalformed = decision.reason === 'error' && decision.policies.length === 0;
    return { case: test, decision, passed: !isMalformed && decision.decision === test.expected };
  });
  return { outcomes, untested: policyIds.filter((id) => !decided.has(id)).sort() };
}

/** The question that a case asks. */
export function questionOfCase(test: TestCase): Question {
  return questionOf({
    subject: test.principal,
    action: { name: test.action },
    resource:
      test.properties === undefined ? test.resource : { ...test.resource, properties: test.properties },
    ...(test.context === undefined ? {} : { context: test.context }),
  });
}

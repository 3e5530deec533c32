import { parseAccessDocument } from '../access/document.ts';
import { readRequestTests } from '../access/request-tests.ts';
import { type Sha256, sha256Stream } from '../base/digest.ts';
import type { TestCase } from '../base/test-case.ts';
import type { PolicyDocument } from '../policy/document.ts';
import { formatUid } from '../policy/document.ts';
import { createEngine } from '../policy/engine.ts';
import { type Disagreement, findDisagreements } from '../policy/oracle.ts';
import {
  type TestOutcome,
  type TestResult,
  questionOfCase,
  readTestMatrix,
  runMatrix,
} from '../policy/test-matrix.ts';
import { createClaimCheck } from './check-test-claims.ts';
import { ReleaseError } from './release-error.ts';
import type { Gates, Repository } from './repository.ts';

/** What the tests came to in a release for one environment, or for several that no test tells apart. */
export type RepositoryTests = TestResult & {
  environments: string[];
  total: number;
  passed: number;
  failures: TestOutcome[];
  /** SHA-256 over the names and bytes of the test files. */
  digest: Sha256;
};

/** Told how many of the questions both engines were asked. */
export type TestProgress = (done: number, total: number) => void;

/** Questions of a repository at most: with thousands of policies, asking two engines takes some 10 ms each. */
const MAX_QUESTIONS = 200_000;
/** Failures that an error message shows at most. */
const MAX_SHOWN = 20;

/**
 * Runs the matrices of `tests/`, of questions and of requests, that are for these environments, on the engine that
 * decides on the host and on Cedar's own: once for all environments that have the same tests.
 * @throws PolicyError, AccessError where a test file is malformed; ReleaseError `environment-unknown` where a test is
 * for an environment that there is none of, `tests-too-many`, `engines-disagree` where the two engines do not say the same, which is a
 * fault of sealborn
 */
export function runRepositoryTests(
  repository: Repository,
  document: PolicyDocument,
  environments: readonly string[],
  onProgress?: TestProgress,
): RepositoryTests[] {
  const { settings, tests } = repository;
  const stream = sha256Stream();
  for (const { file, bytes } of tests) {
    stream.update(Buffer.from(`${file}\0${bytes.length}\0`));
    stream.update(bytes);
  }
  const digest = stream.digest();
  const access = parseAccessDocument(document.access);
  const requireUsedClaims = createClaimCheck(document);
  const all = tests.flatMap(({ bytes, file }) => {
    const matrices = readTestMatrix(bytes, file);
    requireUsedClaims(matrices);
    return [...matrices, ...readRequestTests(bytes, file, access)];
  });
  requireBounded(all.length);
  for (const test of all) requireEnvironments(test, settings.environments);
  const engine = createEngine(document);
  requireAgreement(findDisagreements(document, engine, all.map(questionOfCase), onProgress));
  const ids = document.policies.map(({ id }) => id);
  const selection = (environment: string): string =>
    all.map((test) => (isFor(test, environment) ? '1' : '0')).join('');
  return [...Map.groupBy(environments, selection).values()].map((group) => {
    const [first = ''] = group;
    const result = runMatrix(
      engine,
      all.filter((test) => isFor(test, first)),
      ids,
    );
    const failures = result.outcomes.filter(({ passed }) => !passed);
    const total = result.outcomes.length;
    return { ...result, environments: group, total, passed: total - failures.length, failures, digest };
  });
}

function isFor({ environments }: TestCase, environment: string): boolean {
  return environments?.includes(environment) ?? true;
}

function requireEnvironments({ file, line, environments = [] }: TestCase, known: readonly string[]): void {
  for (const environment of environments) {
    if (known.includes(environment)) continue;
    throw new ReleaseError(
      'environment-unknown',
      `${file}:${line}: "${environment}" is no environment of this repository; sealborn.yaml lists ${known.join(', ')}`,
    );
  }
}

/** @throws ReleaseError `tests-too-many` */
function requireBounded(count: number): void {
  if (count <= MAX_QUESTIONS) return;
  throw new ReleaseError(
    'tests-too-many',
    `tests/ asks ${count} questions; at most ${MAX_QUESTIONS} are asked`,
    {
      hint: 'A matrix multiplies principals, actions and resources: take one of each kind rather than all.',
    },
  );
}

/** Policies that a gate of the repository wants decided by a test, and that none decides. */
export function policiesToTest(tests: RepositoryTests, gates: Gates): string[] {
  return gates.everyPolicyTested ? tests.untested : [];
}

function requireAgreement(disagreements: readonly Disagreement[]): void {
  const [first] = disagreements;
  if (first === undefined) return;
  const { principal, action, resource } = first.question;
  const name = 'id' in action ? action.id : action.name;
  throw new ReleaseError(
    'engines-disagree',
    `the engine of the host and Cedar's own do not agree on ${disagreements.length} of the tests' questions, such as ` +
      `${formatUid(principal)} ${name} ${formatUid(resource)}: ${first.engine.reason} against ${JSON.stringify(first.cedar)}`,
    {
      hint: 'This is a bug in sealborn. Please report it with the policies and entities that the question turns on.',
    },
  );
}

/**
 * Stops a build whose tests do not hold.
 * @throws ReleaseError `tests-failed`
 */
export function requirePassed(tests: RepositoryTests, gates: Gates): void {
  if (tests.failures.length > 0) {
    const shown = tests.failures.slice(0, MAX_SHOWN).map((failure) => describeFailure(failure));
    const more = tests.failures.length - shown.length;
    throw new ReleaseError(
      'tests-failed',
      [
        `${tests.failures.length} of ${tests.total} policy tests failed`,
        ...shown,
        ...(more > 0 ? [`and ${more} more`] : []),
      ].join('\n'),
      { hint: 'Mend the policy or the test; a release is built only when all pass.' },
    );
  }
  const untested = policiesToTest(tests, gates);
  if (untested.length > 0) {
    throw new ReleaseError(
      'tests-failed',
      `no test turns on ${untested.length} policies: ${untested.slice(0, MAX_SHOWN).join(', ')}`,
      {
        hint: 'Add a test that each of them decides, or remove it (gates.everyPolicyTested in sealborn.yaml).',
      },
    );
  }
}

/** `tests/roles.yaml:3: User::"ana" CreatePayment Ledger::"main": must be permitted, but no policy permits it` */
export function describeFailure({ case: test, decision }: TestOutcome): string {
  return `${test.file}:${test.line}: ${test.test}: ${describeProblem({ case: test, decision })}`;
}

/** `User::"ana" CreatePayment Ledger::"main" must be permitted, but: no policy permits it` */
export function describeProblem({ case: test, decision }: Omit<TestOutcome, 'passed'>): string {
  const question = `${formatUid(test.principal)} ${test.action} ${formatUid(test.resource)}`;
  const wanted = test.expected ? 'must be permitted' : 'must be denied';
  const places = decision.policies.map(({ id, file, line }) => `${id} (${file}:${line})`).join(', ');
  const errors = decision.errors.map(({ message }) => message).join('; ');
  const why = {
    permit: `permitted by ${places}`,
    forbid: `forbidden by ${places}`,
    'no-permit': 'no policy permits it',
    error: errors === '' ? 'it could not be decided' : errors,
  }[decision.reason];
  return `${question} ${wanted}, but: ${why}`;
}

import { type Sha256, sha256Stream } from '../base/digest.ts';
import type { PolicyDocument } from '../policy/document.ts';
import { formatUid } from '../policy/document.ts';
import { createEngine } from '../policy/engine.ts';
import { type Disagreement, findDisagreements } from '../policy/oracle.ts';
import {
  type TestFailure,
  type TestResult,
  questionOfCase,
  readTestMatrix,
  runMatrix,
} from '../policy/test-matrix.ts';
import { ReleaseError } from './release-error.ts';
import type { Gates, Repository } from './repository.ts';

export type RepositoryTests = TestResult & {
  /** SHA-256 over the names and bytes of the test files. */
  digest: Sha256;
};

/** Failures that an error message shows at most. */
const MAX_SHOWN = 20;

/**
 * Runs every matrix of `tests/`, on the engine that decides on the host and on Cedar's own.
 * @throws PolicyError where a test file is malformed; ReleaseError `engines-disagree` where the two engines do not
 * say the same, which is a fault of sealborn
 */
export function runRepositoryTests(repository: Repository, document: PolicyDocument): RepositoryTests {
  const stream = sha256Stream();
  for (const { file, bytes } of repository.tests) {
    stream.update(Buffer.from(`${file}\0${bytes.length}\0`));
    stream.update(bytes);
  }
  const cases = repository.tests.flatMap(({ bytes, file }) => readTestMatrix(bytes, file));
  const ids = document.policies.map(({ id }) => id);
  const engine = createEngine(document);
  requireAgreement(findDisagreements(document, engine, cases.map(questionOfCase)));
  return { ...runMatrix(engine, cases, ids), digest: stream.digest() };
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
  if (gates.everyPolicyTested && tests.untested.length > 0) {
    throw new ReleaseError(
      'tests-failed',
      `no test turns on ${tests.untested.length} policies: ${tests.untested.slice(0, MAX_SHOWN).join(', ')}`,
      {
        hint: 'Add a test that each of them decides, or remove it (gates.everyPolicyTested in sealborn.yaml).',
      },
    );
  }
}

/** `tests/roles.yaml:3: User::"ana" CreatePayment Ledger::"main": must be permitted, but no policy permits it` */
export function describeFailure({ case: test, decision }: TestFailure): string {
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
  return `${test.file}:${test.line}: ${test.test}: ${question} ${wanted}, but: ${why}`;
}

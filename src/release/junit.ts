import { type RepositoryTests, describeProblem, policiesToTest } from './policy-tests.ts';
import { formatUid } from '../policy/document.ts';
import type { TestOutcome } from '../policy/test-matrix.ts';
import type { Gates } from './repository.ts';

/**
 * Test results as JUnit XML, in the form that CI systems read (testmoapp/junitxml): a suite for each matrix and one for
 * the coverage of policies, where a gate asks for it.
 */
export function formatJunit(results: readonly RepositoryTests[], gates: Gates): string {
  const suites = results.flatMap((tests) => {
    const where = results.length > 1 ? ` (${tests.environments.join(', ')})` : '';
    const byMatrix = Map.groupBy(tests.outcomes, ({ case: { file, test } }) => `${file}: ${test}${where}`);
    const coverage = coverageSuite(tests, gates, `policies decided by a test${where}`);
    return [...[...byMatrix].map(([name, outcomes]) => suite(name, outcomes.map(testCase))), ...coverage];
  });
  const total = (field: 'tests' | 'failures'): number => suites.reduce((sum, one) => sum + one[field], 0);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="sealborn test" tests="${total('tests')}" failures="${total('failures')}">`,
    ...suites.map(({ xml }) => xml),
    '</testsuites>',
    '',
  ].join('\n');
}

type Suite = { xml: string; tests: number; failures: number };
type Case = { name: string; file?: string; line?: number; problem?: string };

function testCase({ case: test, decision, passed }: TestOutcome): Case {
  return {
    name: `${formatUid(test.principal)} ${test.action} ${formatUid(test.resource)}`,
    file: test.file,
    line: test.line,
    ...(passed ? {} : { problem: describeProblem({ case: test, decision }) }),
  };
}

function coverageSuite(tests: RepositoryTests, gates: Gates, name: string): Suite[] {
  const missing = policiesToTest(tests, gates);
  if (missing.length === 0) return [];
  return [
    suite(
      name,
      missing.map((id) => ({ name: id, problem: 'no test turns on this policy' })),
    ),
  ];
}

function suite(name: string, cases: readonly Case[]): Suite {
  const failures = cases.filter(({ problem }) => problem !== undefined).length;
  const lines = cases.map(({ name: title, file, line, problem }) => {
    const place = file === undefined ? '' : ` file=${quoted(file)} line="${line}"`;
    const start = `    <testcase classname=${quoted(name)} name=${quoted(title)}${place}`;
    if (problem === undefined) return `${start}/>`;
    return `${start}>\n      <failure message=${quoted(problem)}/>\n    </testcase>`;
  });
  const head = `  <testsuite name=${quoted(name)} tests="${cases.length}" failures="${failures}">`;
  return { xml: [head, ...lines, '  </testsuite>'].join('\n'), tests: cases.length, failures };
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

/** An attribute's value. XML 1.0 can't hold other control characters, nor half a surrogate pair, however written. */
function quoted(text: string): string {
  const held = text
    .toWellFormed()
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');
  return `"${held.replaceAll(/[&<>"\t\n\r]/g, (character) => ENTITIES[character] ?? '')}"`;
}

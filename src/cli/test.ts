import type { Command } from 'commander';

import type { RepositoryTests } from '../release/policy-tests.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { reportFailure } from './failure.ts';
import { countBar } from './progress-bar.ts';
import { untilStopped } from './signals.ts';
import { type Terminal, formatCount } from './terminal.ts';
import { type CliContext, action, addVerb, printJson } from './verb.ts';

type TestFlags = { json?: true; environment?: string; junit?: string; watch?: true };

/** `sealborn test <repository>` */
export function addTestVerb(program: Command, context: CliContext): void {
  addVerb(program, 'test', {
    summary: 'compile a policy repository and run its tests',
    description:
      'Compiles and strictly validates the policies, then asks every question of the matrices in tests/*.yaml: ' +
      'what is listed there must be permitted, everything else denied. Also says which policies decide no test. ' +
      '"sealborn build" runs the same tests and stops where one fails.',
    examples: [
      'sealborn test .',
      'sealborn test policy/ --watch',
      'sealborn test policy/ --environment production --junit results.xml',
      'sealborn test policy/ --json | jq .failures',
    ],
    exits: [
      `${EXIT.good}   all passed`,
      `${EXIT.no}   a test failed, or a policy that must be tested is not (gates.everyPolicyTested)`,
      `${EXIT.refused}   the repository can't be compiled, or a test file is malformed`,
    ],
  })
    .argument('<repository>', 'the folder with sealborn.yaml')
    .option('--environment <name>', 'run the tests of a release for this environment (default: of each)')
    .option('--junit <file>', 'also write the results as JUnit XML')
    .option('--watch', 'run again whenever a file of the repository is saved, until Ctrl-C')
    .action(
      action<TestFlags, [string]>(context, async (options, directory) => {
        if (options.watch !== true) return runTests(directory, options, context.terminal);
        return watch(directory, options, context.terminal);
      }),
    );
}

async function runTests(directory: string, options: TestFlags, terminal: Terminal): Promise<ExitCode> {
  const { readRepository, requireEnvironment } = await import('../release/repository.ts');
  const { compileRepository } = await import('../release/compile-repository.ts');
  const { describeFailure, policiesToTest, runRepositoryTests } = await import('../release/policy-tests.ts');
  const repository = await readRepository(directory);
  const { environments, gates } = repository.settings;
  if (options.environment !== undefined) requireEnvironment(repository, options.environment);
  const asked = options.environment === undefined ? environments : [options.environment];
  const document = compileRepository(repository);
  const bar = countBar('testing', 'questions', terminal);
  let results: RepositoryTests[];
  try {
    results = runRepositoryTests(repository, document, asked, bar.update);
  } finally {
    bar.clear();
  }
  if (options.junit !== undefined) {
    const { formatJunit } = await import('../release/junit.ts');
    const { writeOutput } = await import('../host/files.ts');
    await writeOutput(options.junit, formatJunit(results, gates), 0o644);
  }
  if (options.json === true) printJson(terminal, summary(results));
  else {
    for (const tests of results) {
      const where = results.length > 1 ? ` (${tests.environments.join(', ')})` : '';
      const isGated = policiesToTest(tests, gates).length > 0;
      terminal.out(describe(tests, tests.failures.map(describeFailure), isGated, where, terminal));
    }
  }
  const isGood = results.every(
    (tests) => tests.failures.length === 0 && policiesToTest(tests, gates).length === 0,
  );
  return isGood ? EXIT.good : EXIT.no;
}

/** Runs the tests at every change; what can't be read or compiled is shown and waits for the next one. */
async function watch(directory: string, options: TestFlags, terminal: Terminal): Promise<ExitCode> {
  const { lookAtRepository, untilChanged } = await import('../release/repository-watch.ts');
  const stopping = new AbortController();
  void untilStopped().then(() => stopping.abort());
  let code: ExitCode = EXIT.good;
  while (!stopping.signal.aborted) {
    // Looked at before it is read: what is saved meanwhile is seen by the next look.
    const before = await lookAtRepository(directory);
    try {
      code = await runTests(directory, options, terminal);
    } catch (thrown) {
      code = reportFailure(thrown, terminal, options.json === true);
    }
    terminal.err(`sealborn: ${terminal.errStyle.faint(`watching ${directory}; Ctrl-C ends`)}\n`);
    await untilChanged(directory, before, stopping.signal).catch((thrown: unknown) => {
      if (!stopping.signal.aborted) throw thrown;
    });
  }
  return code;
}

/** All environments together, and each; a case is counted once for each group of environments that it is run for. */
function summary(results: readonly RepositoryTests[]): object {
  const [first] = results;
  const sum = (field: 'total' | 'passed'): number => results.reduce((all, tests) => all + tests[field], 0);
  return {
    total: sum('total'),
    passed: sum('passed'),
    failures: results.flatMap(({ environments, failures }) =>
      failures.map(({ case: test, decision }) => ({ environments, case: test, decision })),
    ),
    untested: [...new Set(results.flatMap(({ untested }) => untested))].sort(),
    environments: results.map(({ environments, total, passed, untested }) => ({
      environments,
      total,
      passed,
      untested,
    })),
    digest: first?.digest,
  };
}

function describe(
  { passed, total, untested }: RepositoryTests,
  failures: readonly string[],
  isGated: boolean,
  where: string,
  { outStyle }: Terminal,
): string {
  const lines = failures.map((line) => `${outStyle.bad('failed')}  ${line}${where}\n`);
  const isGood = failures.length === 0;
  lines.push(
    `${isGood ? outStyle.good('passed') : outStyle.bad('failed')}  ` +
      `${formatCount(passed)} of ${formatCount(total)} questions answered as the tests say${where}\n`,
  );
  if (untested.length > 0) {
    const style = isGated ? outStyle.bad : outStyle.warn;
    lines.push(`${style('untested')}  no test turns on ${untested.join(', ')}${where}\n`);
  }
  return lines.join('');
}

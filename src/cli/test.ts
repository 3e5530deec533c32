import type { Command } from 'commander';

import type { RepositoryTests } from '../release/policy-tests.ts';
import { EXIT } from './exit-codes.ts';
import { type Terminal, formatCount } from './terminal.ts';
import { type CliContext, action, addVerb, printJson } from './verb.ts';

/** `sealborn test <repository>` */
export function addTestVerb(program: Command, context: CliContext): void {
  addVerb(program, 'test', {
    summary: 'compile a policy repository and run its tests',
    description:
      'Compiles and strictly validates the policies, then asks every question of the matrices in tests/*.yaml: ' +
      'what is listed there must be permitted, everything else denied. Also says which policies decide no test. ' +
      '"sealborn build" runs the same tests and stops where one fails.',
    examples: ['sealborn test .', 'sealborn test policy/ --json | jq .failures'],
    exits: [
      `${EXIT.good}   all passed`,
      `${EXIT.no}   a test failed`,
      `${EXIT.refused}   the repository can't be compiled, or a test file is malformed`,
    ],
  })
    .argument('<repository>', 'the folder with sealborn.yaml')
    .action(
      action<{ json?: true }, [string]>(context, async (options, directory) => {
        const { readRepository } = await import('../release/repository.ts');
        const { compileRepository } = await import('../release/compile-repository.ts');
        const { describeFailure, runRepositoryTests } = await import('../release/policy-tests.ts');
        const repository = await readRepository(directory);
        const tests = runRepositoryTests(repository, compileRepository(repository));
        if (options.json === true) printJson(context.terminal, tests);
        else context.terminal.out(describe(tests, tests.failures.map(describeFailure), context.terminal));
        return tests.failures.length === 0 ? EXIT.good : EXIT.no;
      }),
    );
}

function describe(tests: RepositoryTests, failures: readonly string[], { outStyle }: Terminal): string {
  const lines = failures.map((line) => `${outStyle.bad('failed')}  ${line}\n`);
  const { passed, total, untested } = tests;
  lines.push(
    `${failures.length === 0 ? outStyle.good('passed') : outStyle.bad('failed')}  ` +
      `${formatCount(passed)} of ${formatCount(total)} questions answered as the tests say\n`,
  );
  if (untested.length > 0) {
    lines.push(`${outStyle.warn('untested')}  no test turns on ${untested.join(', ')}\n`);
  }
  return lines.join('');
}

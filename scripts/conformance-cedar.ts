/*
 * npm run -s conformance:cedar -- DIR…
 *
 * Runs Cedar's own integration tests (a folder in the format of cedar-policy/cedar-integration-tests, unpacked)
 * against the engine: decision, determining policies and erroring policies of every request must be the same.
 * Prints failures by name and ends with `N passed, N failed`, requests counted; exit code 1 on any failure.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

import { messageOf } from '../src/base/errors.ts';
import { type CaseFailure, runConformance } from './conformance/run-conformance.ts';

const directories = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
if (directories.length === 0) {
  process.stderr.write('usage: npm run -s conformance:cedar -- DIR…\n');
  process.exit(64);
}
let passed = 0;
const failures: CaseFailure[] = [];
for (const directory of directories) {
  try {
    const result = runConformance(placeOf(directory));
    passed += result.passed;
    failures.push(...result.failures);
  } catch (thrown) {
    failures.push({ name: directory, problem: messageOf(thrown) });
  }
}
for (const { name, problem } of failures) process.stdout.write(`failed: ${name}: ${problem}\n`);
if (passed + failures.length === 0) {
  failures.push({ name: directories.join(' '), problem: 'no test was found' });
  process.stdout.write(`failed: no test was found below ${directories.join(' ')}\n`);
}
process.stdout.write(`${passed} passed, ${failures.length} failed\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** npm runs a script in the project's root; a path is meant from where npm was called. */
function placeOf(directory: string): string {
  const called = resolve(process.env['INIT_CWD'] ?? '.', directory);
  return existsSync(called) ? called : directory;
}

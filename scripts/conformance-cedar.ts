/*
 * npm run -s conformance:cedar -- DIR…
 *
 * Runs Cedar's own integration tests (a folder in the format of cedar-policy/cedar-integration-tests, unpacked)
 * against the engine: decision, determining policies and erroring policies of every request must be the same.
 * Prints failures by name and ends with `N passed, N failed`, requests counted; exit code 1 on any failure.
 */
import { type CaseFailure, runConformance } from './conformance/run-conformance.ts';

const directories = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
if (directories.length === 0) {
  process.stderr.write('usage: npm run -s conformance:cedar -- DIR…\n');
  process.exit(64);
}
let passed = 0;
const failures: CaseFailure[] = [];
for (const directory of directories) {
  const result = runConformance(directory);
  passed += result.passed;
  failures.push(...result.failures);
}
for (const { name, problem } of failures) process.stdout.write(`failed: ${name}: ${problem}\n`);
if (passed + failures.length === 0) {
  failures.push({ name: directories.join(' '), problem: 'no test was found' });
  process.stdout.write(`failed: no test was found below ${directories.join(' ')}\n`);
}
process.stdout.write(`${passed} passed, ${failures.length} failed\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

import { type TestAPI, test } from 'vitest';

import { hasProgram } from './has-program.ts';

/**
 * `test` where nothing is lacking; else tests that are skipped and say what is, so that a run can count them with
 * their reasons. `lacking` is what the machine would need: "root", "mkfs.ext4 (e2fsprogs)".
 */
export function needs(...lacking: (string | undefined)[]): TestAPI {
  const first = lacking.find((what) => what !== undefined);
  if (first === undefined) return test;
  return test.extend<{ lacking: void }>({
    lacking: [
      // oxlint-disable-next-line no-empty-pattern -- the runner reads the pattern to see what is asked for
      async ({ skip }, use) => {
        skip(`needs ${first}`);
        await use();
      },
      { auto: true },
    ],
  });
}

/** What is lacking where a program of a Debian package is not on this machine. */
export function lackingProgram(program: string, debianPackage: string): string | undefined {
  return hasProgram(program) ? undefined : `${program} (${debianPackage})`;
}

import type { Reporter, TestModule } from 'vitest/node';

import { ATTACK_ROWS, rowOf } from './attack-row.ts';

/**
 * Says at the end of `npm run test:system` which rows of the attack table were shown, and which tests were skipped
 * for what reason. A row without a test fails the run.
 */
export default class AttackRows implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const states = new Map<number, Set<string>>();
    const skipped: string[] = [];
    for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
      const result = test.result();
      if (result.state === 'skipped') skipped.push(`${test.name} (${result.note ?? 'no reason given'})`);
      const row = rowOf(test.name);
      if (row !== undefined) states.set(row, (states.get(row) ?? new Set()).add(result.state));
    }
    const rows = Array.from({ length: ATTACK_ROWS }, (_, at) => at + 1);
    const shown = rows.filter((row) => states.get(row)?.has('passed') && !states.get(row)?.has('failed'));
    const partly = shown.filter((row) => states.get(row)?.has('skipped'));
    const missing = rows.filter((row) => !states.has(row));
    const say = (words: string): void => void process.stdout.write(`${words}\n`);
    say(`\nattack table: ${shown.length} of ${ATTACK_ROWS} rows shown`);
    if (shown.length < ATTACK_ROWS) {
      say(`not shown: ${rows.filter((row) => !shown.includes(row)).join(', ')}`);
    }
    if (partly.length > 0) say(`shown in part: ${partly.join(', ')}`);
    if (missing.length > 0) say(`without a test: ${missing.join(', ')}`);
    say(`${skipped.length} tests skipped${skipped.length > 0 ? ':' : ''}`);
    for (const one of skipped) say(`  ${one}`);
    if (missing.length > 0) process.exitCode = 1;
  }
}

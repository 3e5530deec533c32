import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, onTestFinished } from 'vitest';

import { countLine } from '../../src/cli/progress-bar.ts';
import { compileRepository } from '../../src/release/compile-repository.ts';
import { runRepositoryTests } from '../../src/release/policy-tests.ts';
import { readRepository } from '../../src/release/repository.ts';
import { lackingProgram, needs } from '../support/needs.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

describe('countLine', () => {
  it('shows a bar, how many, and the time left once it can be told, as far as there is room', () => {
    const count = { done: 2500, total: 10_000, seconds: 5 };
    const line = (width: number): string => countLine('testing', 'questions', count, width);
    expect(line(99)).toBe('testing  [######..................] 25%  2,500/10,000 questions  15 s left');
    expect(line(62)).toBe('testing  [###.........] 25%  2,500/10,000 questions  15 s left');
    expect(line(50)).toBe('testing  25%  2,500/10,000 questions  15 s left');
    expect(line(20)).toBe('testing  25%');
    expect(countLine('testing', 'questions', { done: 0, total: 10, seconds: 0.1 }, 99)).toBe(
      'testing  [........................] 0%  0/10 questions',
    );
  });
});

/** A policy repository whose tests ask 5,000 questions. */
function largeTests(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const names = (type: string, count: number): string =>
    Array.from({ length: count }, (_, index) => `${type}::n${index}`).join(', ');
  const files = {
    'sealborn.yaml': 'name: large\nenvironments: [production]\nmeasure: { roots: [/usr] }\n',
    'schema.cedarschema': 'entity User, Doc; action Read appliesTo { principal: User, resource: Doc };',
    'policies/p.cedar': '@id("one") permit (principal == User::"n0", action, resource == Doc::"n0");',
    'entities/e.yaml': 'entities: [{ uid: User::n0 }]\n',
    'tests/t.yaml': `tests: [{ name: t, principals: [${names('User', 100)}], actions: [Read], resources: [${names('Doc', 50)}], permit: [User::n0 Read Doc::n0] }]\n`,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

describe('runRepositoryTests', () => {
  it('refuses tests that ask more than it can ask two engines in a sensible time', async () => {
    const directory = largeTests();
    const names = (type: string, count: number): string =>
      Array.from({ length: count }, (_, index) => `${type}::n${index}`).join(', ');
    for (const file of ['a', 'b', 'c']) {
      const test = `{ name: ${file}, principals: [${names('User', 300)}], actions: [Read], resources: [${names('Doc', 230)}], permit: [] }`;
      writeFileSync(join(directory, `tests/${file}.yaml`), `tests: [${test}]\n`);
    }
    const repository = await readRepository(directory);
    const document = compileRepository(repository);
    expect(() => runRepositoryTests(repository, document, ['production'])).toThrow(
      expect.objectContaining({
        code: 'tests-too-many',
        message: expect.stringMatching(/asks 212000 questions/) as string,
      }),
    );
  });
});

describe('the bar of "sealborn test"', () => {
  needs(lackingProgram('script', 'bsdutils'))('is drawn on a terminal, and nowhere else', () => {
    const directory = largeTests();
    const said = /5,000 of 5,000 questions answered as the tests say/;
    const command = `${process.execPath} ${MAIN} test ${directory}`;
    const env = { ...process.env, TERM: 'xterm' };
    const drawn = execFileSync('script', ['-qec', `stty cols 120; ${command}`, '/dev/null'], {
      encoding: 'utf8',
      env,
    });
    expect(drawn).toMatch(/\rtesting {2}\[[#.]{24}\] \d+% {2}[\d,]+\/5,000 questions.*\u001b\[K/);
    expect(drawn).toMatch(said);
    const plain = execFileSync('sh', ['-c', `${command} 2>&1`], { encoding: 'utf8', env });
    expect(plain).toMatch(said);
    expect(plain).not.toContain('testing  ');
  });
});

import { join } from 'node:path';

import type { PolicyDocument } from '../../src/policy/document.ts';
import { compileRepository } from '../../src/release/compile-repository.ts';
import { requirePassed, runRepositoryTests } from '../../src/release/policy-tests.ts';
import { readRepository } from '../../src/release/repository.ts';

/** A policy repository of `test/scenarios`, through the pipeline: compiled, validated, its own tests passed. */
export async function scenario(name: 'todo' | 'search' | 'certification'): Promise<PolicyDocument> {
  const repository = await readRepository(join(import.meta.dirname, '../scenarios', name));
  const document = compileRepository(repository);
  const { environments, gates } = repository.settings;
  for (const tests of runRepositoryTests(repository, document, environments)) requirePassed(tests, gates);
  return document;
}

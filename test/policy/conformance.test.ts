import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { runConformance } from '../../scripts/conformance/run-conformance.ts';
import { corpus } from '../support/corpora.ts';

const archives = [
  { ...corpus('cedar/handwritten.tar.gz'), name: 'handwritten', requests: 74 },
  { ...corpus('cedar/corpus-sample.tar.gz'), name: 'corpus-sample', requests: 12_584 },
];
let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealborn-conformance-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('runConformance', () => {
  const cedar = `
    // a template without a link, annotations without a value, trailing commas, escapes
    @id("x") @flag permit (principal == ?principal, action, resource);
    @a permit (principal, action in [Action::"a",], resource) when { context has "\\u{1F600}" || [1,2,].contains(1) };
    forbid (principal is NS::if_::U in NS::if_::U::"\\0\\u{7f}", action, resource) when { "a*b" like "a\\*b" && 1 + "a" == 2 };`;
  const schema = `
    namespace NS::if_ { type K = { "true_"?: Long, "__proto__"?: String }; entity U in [U] = { k?: K } tags Long; }
    action "a" appliesTo { principal: [NS::if_::U], resource: NS::if_::U, context: { "\\u{1F600}"?: Bool } };`;
  const uid = (id: string): object => ({ __entity: { type: 'NS::if_::U', id } });
  const write = (folder: string, name: string, value: unknown): void =>
    writeFileSync(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));

  it('reads every form that a test may have, and names what fails', () => {
    const folder = mkdtempSync(join(directory, 'forms-'));
    mkdirSync(join(folder, 'tests/deep'), { recursive: true });
    write(folder, 'p.cedar', cedar);
    write(folder, 's.cedarschema', schema);
    const parents = [uid('\0\x7f')];
    write(folder, 'e.json', [
      { uid: uid('\0\x7f'), attrs: { k: { true_: 1 } }, parents: [], tags: { a: 1 } },
      { uid: { type: 'NS::if_::U', id: 'x' }, attrs: {}, parents },
    ]);
    const request = { principal: uid('x'), action: { type: 'Action', id: 'a' }, resource: uid('x') };
    const right = { ...request, decision: 'Allow', reason: ['policy1'], errors: ['policy2'] };
    const test = { policies: 'p.cedar', entities: 'e.json', schema: 's.cedarschema' };
    const requests = [right, { ...right, decision: 'allow', context: {}, description: 'small letters' }];
    write(folder, 'tests/deep/good.json', { ...test, requests });
    expect(runConformance(folder)).toEqual({ passed: 2, failures: [] });
    // The folder that the tests are in will do as well: its file names are found from above.
    expect(runConformance(join(folder, 'tests'))).toMatchObject({ passed: 2 });

    write(folder, 'tests/bad.json', { ...test, requests: [{ ...right, decision: 'deny' }, request] });
    write(folder, 'tests/none.json', { ...test, policies: 'q.cedar', requests: [right] });
    write(folder, 'tests/broken.json', '{"policies": ');
    const { passed, failures } = runConformance(folder);
    expect(passed).toBe(2);
    expect(failures.map(({ name }) => name)).toEqual([
      'tests/bad.json[0]',
      'tests/bad.json[1]',
      'tests/broken.json',
      'tests/none.json[0]',
    ]);
  });
});

describe("Cedar's integration tests", () => {
  for (const archive of archives) {
    it.skipIf(archive.missing)(`decides all of ${archive.name} as Cedar does`, { timeout: 120_000 }, () => {
      const folder = mkdtempSync(join(directory, 'archive-'));
      execFileSync('tar', ['-xzf', archive.path, '-C', folder]);
      const { passed, failures } = runConformance(folder);
      expect(failures).toEqual([]);
      expect(passed).toBe(archive.requests);
    });
  }
});

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { type PolicySources, compilePolicy } from '../../src/policy/compile.ts';
import { formatPolicyDocument, parsePolicyDocument } from '../../src/policy/document.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { readEntities } from '../../src/policy/entities.ts';
import { findDisagreements } from '../../src/policy/oracle.ts';
import { PolicyError } from '../../src/policy/policy-error.ts';
import { questionOfCase, readTestMatrix, runMatrix } from '../../src/policy/test-matrix.ts';

const SCHEMA = `entity Group;
entity User in [Group] = { level: Long, ip?: ipaddr, boss?: User, since?: datetime, home?: { zip: Long } } tags String;
entity File = { owner?: User };
action read, write appliesTo { principal: User, resource: File, context: { n?: Long } };
`;
const PERMIT = 'permit (principal, action, resource);';

function sources(change: {
  policies?: string;
  schema?: string;
  entities?: string;
  openTypes?: string[];
}): PolicySources {
  return {
    schema: { file: 'schema.cedarschema', text: change.schema ?? SCHEMA },
    policies: [{ file: 'policies/main.cedar', text: change.policies ?? PERMIT }],
    entities:
      change.entities === undefined ? [] : readEntities(Buffer.from(change.entities), 'entities/main.yaml'),
    ...(change.openTypes === undefined ? {} : { openTypes: change.openTypes }),
  };
}

function refusal(change: Parameters<typeof sources>[0]): { code: string; message: string } {
  try {
    compilePolicy(sources(change));
  } catch (thrown) {
    if (thrown instanceof PolicyError) return { code: thrown.code, message: thrown.message };
    throw thrown;
  }
  throw new Error('was not refused');
}

describe('compilePolicy: what it refuses, and where it points', () => {
  it.each<[string, Parameters<typeof sources>[0], string, string]>([
    [
      'a policy that does not parse',
      { policies: `${PERMIT}\n// ; é\npermit (principal, action, resource)\n  when { context.n == };` },
      'policy-syntax',
      'policies/main.cedar:4:23: unexpected token `}`',
    ],
    ['a stray semicolon', { policies: `${PERMIT}\n;` }, 'policy-syntax', 'policies/main.cedar:2:1: '],
    [
      'a string without end',
      { policies: `${PERMIT}\nforbid (principal == User::"x, action, resource);` },
      'policy-syntax',
      'policies/main.cedar:2:',
    ],
    [
      'an integer beyond 64 bits',
      { policies: `permit (principal, action, resource) when { 9223372036854775808 > 1 };` },
      'policy-syntax',
      'policies/main.cedar:1:45: integer literal `9223372036854775808` is too large',
    ],
    [
      'brackets nested a thousand deep',
      {
        policies: `permit (principal, action, resource) when { ${'['.repeat(1000)}${']'.repeat(1000)} == [] };`,
      },
      'policy-syntax',
      'policies/main.cedar:1:1: brackets nest more than 64 deep',
    ],
    [
      'a condition nested deep without brackets',
      {
        policies: `permit (principal, action, resource) when { ${'if true then true else '.repeat(150)}true };`,
      },
      'policy-syntax',
      'policies/main.cedar:1:1: expressions nest more than 100 deep',
    ],
    [
      'a condition nested deeper than the oracle reads',
      { policies: `permit (principal, action, resource) when { ${'1 + '.repeat(80)}1 == 81 };` },
      'policy-invalid',
      'policies/main.cedar:1:1: expressions nest deeper than',
    ],
    [
      'a chain longer than the validator takes',
      {
        policies: `permit (principal, action, resource) when { ${'principal.level == 1 || '.repeat(3000)}false };`,
      },
      'policy-invalid',
      'policies/main.cedar:1:1: a chain of && or || has more than 1,000 parts',
    ],
    [
      'an attribute that the schema does not know',
      { policies: `${PERMIT}\n\n  forbid (principal, action, resource) when { principal.age > 3 };` },
      'policy-invalid',
      'policies/main.cedar:3:47: for policy `main-2`, attribute `age` on entity type `User` not found',
    ],
    [
      'a comparison of two types',
      { policies: `permit (principal, action, resource) when { principal.level == "3" };` },
      'policy-invalid',
      'policies/main.cedar:1:45: ',
    ],
    [
      'a policy that can never apply',
      { policies: `${PERMIT} forbid (principal is File, action, resource);` },
      'policy-invalid',
      'policies/main.cedar:1:39: ',
    ],
    ['no policy', { policies: '// nothing yet\n' }, 'policy-empty', 'there is no policy'],
    [
      'no permit',
      { policies: 'forbid (principal, action, resource);' },
      'policy-no-permit',
      'there is no permit, so every answer would be no',
    ],
    [
      'a template and no link, which decides nothing',
      { policies: `${PERMIT}\nforbid (principal in ?principal, action, resource);` },
      'policy-invalid',
      'policies/main.cedar:2: the template "main-2" has no link in entities/',
    ],
    [
      'one id twice',
      { policies: `@id("a") ${PERMIT}\n@id("a") ${PERMIT}` },
      'policy-duplicate-id',
      'policies/main.cedar:2: the id "a" stands at policies/main.cedar:1 already',
    ],
    [
      'a schema that does not parse',
      { schema: 'entity User;\nentity File = { owner User };' },
      'schema-syntax',
      'schema.cedarschema:2:23: unexpected token `User`',
    ],
    [
      'a type that the schema does not have',
      { schema: 'entity User;\nentity File = { owner: Usr };' },
      'schema-syntax',
      'schema.cedarschema:2:24: failed to resolve type: Usr',
    ],
    [
      'an open type that is none',
      { openTypes: ['Fil'] },
      'policy-invalid',
      'openTypes: the schema has no entity type "Fil"',
    ],
    [
      'an entity of an unknown type',
      { entities: 'entities:\n  - uid: Person::ana\n' },
      'entities-invalid',
      'entities/main.yaml:2: Person::"ana": the schema has no entity type Person',
    ],
    [
      'a missing attribute',
      { entities: 'entities:\n  - uid: Group::g\n  - uid: User::ana\n' },
      'entities-invalid',
      'entities/main.yaml:3: User::"ana": the attribute "level" is missing',
    ],
    [
      'an unknown attribute',
      { entities: 'entities:\n  - uid: User::ana\n    attrs: { level: 1, levle: 2 }\n' },
      'entities-invalid',
      'entities/main.yaml:2: User::"ana": the schema names no attribute "levle"; it names boss, home, ip, level, since',
    ],
    [
      'an attribute of another type',
      { entities: 'entities:\n  - uid: User::ana\n    attrs: { level: "1" }\n' },
      'entities-invalid',
      'entities/main.yaml:2: User::"ana": level: must be a whole number of 64 bits, not 1',
    ],
    [
      'a fraction',
      { entities: 'entities:\n  - uid: User::ana\n    attrs: { level: 1.5 }\n' },
      'entities-invalid',
      'entities/main.yaml:2: User::"ana": level: must be a whole number of 64 bits, not 1.5',
    ],
    [
      'an address that is none',
      { entities: 'entities:\n  - uid: User::ana\n    attrs: { level: 1, ip: 10.0.0.256 }\n' },
      'entities-invalid',
      'entities/main.yaml:2: User::"ana": ip: "10.0.0.256" is not an IP address',
    ],
    [
      'a tag of another type',
      { entities: 'entities:\n  - uid: User::ana\n    attrs: { level: 1 }\n    tags: { a: 1 }\n' },
      'entities-invalid',
      'entities/main.yaml:2: User::"ana": must be a string, not 1',
    ],
    [
      'a parent that the schema does not allow, among a thousand good ones',
      {
        entities: `entities:\n${Array.from({ length: 1000 }, (_, index) => `  - uid: Group::g${index}\n`).join('')}  - uid: File::f\n    parents: [Group::g1]\n`,
      },
      'entities-invalid',
      'entities/main.yaml:1002: File::"f": ',
    ],
    [
      'one entity twice',
      { entities: 'entities:\n  - uid: Group::g\n  - uid: Group::"g"\n' },
      'entities-invalid',
      'entities/main.yaml:3: Group::"g" stands at entities/main.yaml:2 already',
    ],
    [
      'entities in a circle',
      {
        schema:
          'entity Group in [Group]; entity User; action a appliesTo { principal: User, resource: Group };',
        entities:
          'entities:\n  - uid: Group::a\n    parents: [Group::b]\n  - uid: Group::b\n    parents: [Group::c]\n  - uid: Group::c\n    parents: [Group::a]\n',
      },
      'entities-invalid',
      'is in itself',
    ],
  ])('%s', (_, change, code, message) => {
    const refused = refusal(change);
    expect(refused).toMatchObject({ code });
    expect(refused.message).toContain(message);
  });

  it('names every problem of a kind, up to twenty', () => {
    const { message } = refusal({
      policies: Array.from({ length: 30 }, () => 'permit (principal, action, resource) when { };').join('\n'),
    });
    expect(message.split('\n')).toHaveLength(21);
    expect(message).toContain('policies/main.cedar:20:');
    expect(message).toMatch(/and 10 more$/);
  });
});

describe('compilePolicy: what it makes', () => {
  it('names policies by @id, else by their place in their file, and keeps file and line', () => {
    const { policies } = compilePolicy(
      sources({
        policies: `// "\n@id("first; of all")\n${PERMIT}\n\n@note("x")\n${PERMIT} // permit\n${PERMIT}`,
      }),
    );
    expect(policies.map(({ id, file, line }) => `${id} ${file}:${line}`)).toEqual([
      'first; of all policies/main.cedar:2',
      'main-2 policies/main.cedar:5',
      'main-3 policies/main.cedar:7',
    ]);
  });

  it('gives the same bytes for the same sources, which are read back the same', () => {
    const make = (): Buffer =>
      formatPolicyDocument(
        compilePolicy(
          sources({
            policies: `${PERMIT} forbid (principal, action, resource) when { principal.level == -9223372036854775808 };`,
            entities: 'entities:\n  - uid: User::ana\n    attrs: { level: 9223372036854775807 }\n',
          }),
        ),
      );
    expect(make()).toEqual(make());
    expect(formatPolicyDocument(parsePolicyDocument(make()))).toEqual(make());
    expect(make().toString()).toContain('"level":9223372036854775807');
    expect(make().toString()).toContain('{"Value":-9223372036854775808}');
  });

  it('keeps integers beyond 2^53 apart, in policies, entities and requests', () => {
    const document = compilePolicy(
      sources({
        policies: `permit (principal, action, resource)
          when { principal.level == 9007199254740993 && context has n && context.n - 1 == 9007199254740992 && !("9007199254740993" like "exact*") };`,
        entities:
          'entities:\n  - uid: User::odd\n    attrs: { level: 9007199254740993 }\n  - uid: User::even\n    attrs: { level: 9007199254740992 }\n',
      }),
    );
    const engine = createEngine(parsePolicyDocument(formatPolicyDocument(document)));
    const ask = (id: string, n: bigint): boolean =>
      engine.decide({
        principal: { type: 'User', id },
        action: { name: 'read' },
        resource: { type: 'File', id: 'f' },
        context: { n },
      }).decision;
    expect([ask('odd', 2n ** 53n + 1n), ask('even', 2n ** 53n + 1n), ask('odd', 2n ** 53n)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('fills templates by the links in entities/, each a policy placed where the link is written', () => {
    const template = `@id("readers") permit (principal in ?principal, action == Action::"read", resource == ?resource);
      @id("typed") forbid (principal is User in ?principal, action, resource) when { principal.level < 2 };`;
    const entities = `entities:
  - uid: User::ana
    parents: [Group::staff]
    attrs: { level: 3 }
links:
  - id: staff-read-f
    template: readers
    values: { principal: Group::staff, resource: File::f }
  - id: no-newcomers
    template: typed
    values: { principal: { type: Group, id: staff } }
`;
    const document = compilePolicy(sources({ policies: template, entities }));
    expect(document.policies.map(({ id }) => id)).toEqual(['staff-read-f', 'no-newcomers']);
    const ask = (resource: string): unknown =>
      createEngine(parsePolicyDocument(formatPolicyDocument(document))).decide({
        principal: { type: 'User', id: 'ana' },
        action: { name: 'read' },
        resource: { type: 'File', id: resource },
        context: {},
      });
    expect(ask('f')).toMatchObject({
      decision: true,
      policies: [{ id: 'staff-read-f', file: 'entities/main.yaml', line: 6 }],
    });
    expect(ask('g')).toMatchObject({ decision: false, reason: 'no-permit' });
    const link = (values: string, of = 'readers'): string =>
      refusal({
        policies: template,
        entities: `links:\n  - { id: x, template: ${of}, values: ${values} }\n  - { id: y, template: typed, values: { principal: Group::a } }\n`,
      }).message;
    expect(link('{ principal: Group::a }')).toBe(
      'entities/main.yaml:2: link "x": the template "readers" needs ?resource',
    );
    expect(link('{ principal: Group::a, resource: File::f }', 'typed')).toMatch(/has no \?resource/);
    expect(link('{}', 'other')).toMatch(/there is no template "other"/);
    expect(link('{ principal: Person::a, resource: File::f }')).toMatch(/^entities\/main.yaml:2: /);
  });

  it('reads values in the short forms that people write, and writes them out', () => {
    const { entities } = compilePolicy(
      sources({
        entities:
          'entities:\n  - uid: { type: User, id: "a b" }\n    attrs: { level: 1, boss: User::bo, ip: 10.0.0.0/8, since: 2024-02-29, home: { zip: 7 } }\n    tags: { __proto__: x }\n',
      }),
    );
    expect(JSON.parse(JSON.stringify(entities))).toEqual([
      {
        uid: { type: 'User', id: 'a b' },
        parents: [],
        attrs: {
          level: 1,
          boss: { __entity: { type: 'User', id: 'bo' } },
          ip: { __extn: { fn: 'ip', arg: '10.0.0.0/8' } },
          since: { __extn: { fn: 'datetime', arg: '2024-02-29T00:00:00.000Z' } },
          home: { zip: 7 },
        },
        tags: JSON.parse('{"__proto__": "x"}') as unknown,
      },
    ]);
  });
});

describe('the example policy repository', () => {
  const folder = fileURLToPath(new URL('../../examples/payments/', import.meta.url));
  const files = (name: string): { file: string; bytes: Buffer }[] =>
    readdirSync(`${folder}${name}`)
      .sort()
      .map((file) => ({ file: `${name}/${file}`, bytes: readFileSync(`${folder}${name}/${file}`) }));
  const document = compilePolicy({
    schema: { file: 'schema.cedarschema', text: readFileSync(`${folder}schema.cedarschema`, 'utf8') },
    policies: files('policies').map(({ file, bytes }) => ({ file, text: bytes.toString() })),
    entities: files('entities').flatMap(({ file, bytes }) => readEntities(bytes, file)),
    openTypes: ['Document'],
  });
  const cases = files('tests').flatMap(({ file, bytes }) => readTestMatrix(bytes, file));
  const ids = document.policies.map(({ id }) => id);

  it('passes its tests, each policy decides one of them, and Cedar agrees on all', () => {
    const engine = createEngine(document);
    const result = runMatrix(engine, cases, ids);
    expect(result.outcomes.filter(({ passed }) => !passed)).toEqual([]);
    expect([result.outcomes.length, result.untested]).toEqual([cases.length, []]);
    expect(findDisagreements(document, engine, cases.map(questionOfCase))).toEqual([]);
  });

  it('fails its tests where a policy is taken away, and findDisagreements sees another engine', () => {
    const other = {
      ...document,
      policies: document.policies.filter(({ id }) => id !== 'documents-are-never-deleted'),
    };
    const less = {
      ...document,
      policies: document.policies.filter(({ id }) => id !== 'writers-create-payments'),
    };
    const { outcomes, untested } = runMatrix(createEngine(less), cases, ids);
    expect(untested).toEqual(['writers-create-payments']);
    expect(outcomes.filter(({ passed }) => !passed)).toMatchObject([
      { case: { expected: true }, decision: { decision: false, reason: 'no-permit' } },
    ]);
    const found = findDisagreements(document, createEngine(other), cases.map(questionOfCase));
    expect(found.length).toBeGreaterThan(0);
    expect(found[0]).toMatchObject({
      engine: { reason: 'no-permit' },
      cedar: { determining: ['documents-are-never-deleted'] },
    });
  });

  it('fails a test whose question can not be read, whatever it expects', () => {
    const misspelt = readTestMatrix(
      Buffer.from(
        'tests:\n  - name: x\n    principals: [User::ana]\n    actions: [ReadPaiment]\n    resources: [Ledger::main]\n    permit: []\n',
      ),
      'tests/x.yaml',
    );
    expect(runMatrix(createEngine(document), misspelt, ids)).toMatchObject({
      outcomes: [
        { passed: false, decision: { errors: [{ message: 'the schema has no action "ReadPaiment"' }] } },
      ],
    });
  });
});

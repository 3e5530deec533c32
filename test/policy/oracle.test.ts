import { describe, expect, it } from 'vitest';

import { createCedarByAction } from '../../src/policy/cedar-by-action.ts';
import { type CedarAnswer, type CedarQuestion, createCedar } from '../../src/policy/cedar-wasm.ts';
import { readPolicies } from '../../src/policy/compile-policies.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import type { EntityUid } from '../../src/policy/document.ts';
import type { BakedEntity } from '../../src/policy/entity-lines.ts';
import { type Question, createEngine } from '../../src/policy/engine.ts';
import { readEntities } from '../../src/policy/entities.ts';
import { findDisagreements } from '../../src/policy/oracle.ts';
import { reachableEntities } from '../../src/policy/reachable.ts';
import { makeRandom, pick } from './cedar/random.ts';

const SCHEMA = `
  entity Group in [Group] = { owner?: User };
  entity User in [Group] = { boss?: User, friends: Set<User>, box?: { of?: User } } tags Group;
  entity File in [Group] = { owner: User };
  action all;
  action read, write in [all] appliesTo { principal: User, resource: File, context: { who?: User } };
`;
// What can be reached goes through every kind of place that an entity is named in.
const POLICIES = [
  '@id("group") permit (principal in Group::"g3", action in Action::"all", resource);',
  '@id("boss") permit (principal, action, resource) when { principal has boss.boss && principal.boss.boss == resource.owner };',
  '@id("friend") permit (principal, action, resource) when { principal.friends.contains(resource.owner) };',
  '@id("box") permit (principal, action, resource) when { principal has box.of && principal.box.of in Group::"g2" };',
  '@id("tag") permit (principal, action, resource) when { principal.hasTag("t") && principal.getTag("t") in Group::"g1" };',
  '@id("literal") forbid (principal, action, resource) when { User::"u0" has boss && User::"u0".boss in Group::"g4" };',
  '@id("context") permit (principal, action, resource) when { context has who && context.who has boss && context.who.boss in [Group::"g1", Group::"g2"] };',
  '@id("owner") forbid (principal, action, resource) when { Group::"g1" has owner && Group::"g1".owner == principal };',
];

const uid = (type: string, id: string): EntityUid => ({ type, id });
function documentOf(seed: number): ReturnType<typeof compilePolicy> {
  const random = makeRandom(seed);
  const user = (): string => `User::u${random(8)}`;
  const lines = Array.from(
    { length: 8 },
    (_, index) =>
      `  - uid: User::u${index}\n    parents: [${random(2) === 0 ? '' : `Group::g${random(5)}`}]\n    attrs: { friends: [${random(2) === 0 ? '' : user()}]${
        random(2) === 0 ? '' : `, boss: ${user()}`
      }${random(3) > 0 ? '' : `, box: { of: ${user()} }`} }\n    tags: ${random(3) > 0 ? '{}' : `{ t: Group::g${random(5)} }`}\n`,
  );
  const groups = Array.from(
    { length: 5 },
    (_, index) =>
      `  - uid: Group::g${index}\n    parents: [${index < 4 && random(2) === 0 ? `Group::g${index + 1}` : ''}]\n    attrs: ${random(3) === 0 ? `{ owner: ${user()} }` : '{}'}\n`,
  );
  const files = [0, 1].map((index) => `  - uid: File::f${index}\n    attrs: { owner: ${user()} }\n`);
  return compilePolicy({
    schema: { file: 'schema.cedarschema', text: SCHEMA },
    policies: [{ file: 'policies/p.cedar', text: POLICIES.join('\n') }],
    entities: readEntities(
      Buffer.from(`entities:\n${[...lines, ...groups, ...files].join('')}`),
      'entities/e.yaml',
    ),
  });
}

/** Cedar gives both lists in no order. */
const sorted = ({ allow, determining, errors }: CedarAnswer): CedarAnswer => ({
  allow,
  determining: determining.toSorted(),
  errors: errors.toSorted(),
});

describe('findDisagreements', () => {
  it('knows the groups of actions that the schema alone names', () => {
    const document = documentOf(1);
    const everyone = { ...document.entities[0]!, uid: uid('User', 'new'), parents: [uid('Group', 'g3')] };
    const withNew = { ...document, entities: [...document.entities, everyone] };
    const question: Question = {
      principal: everyone.uid,
      action: { name: 'read' },
      resource: uid('File', 'f0'),
      context: {},
    };
    const engine = createEngine(withNew);
    expect(engine.decide(question).policies.map(({ id }) => id)).toContain('group');
    expect(findDisagreements(withNew, engine, [question])).toEqual([]);
  });

  it('asks Cedar about long chains and deep conditions too', () => {
    const some = (n: number, join: string, part: (index: number) => string): string =>
      Array.from({ length: n }, (_, index) => part(index)).join(` ${join} `);
    const among = some(900, '||', (index) => `principal == User::"u${index}"`);
    const policies = [
      `@id("among") permit (principal, action, resource) when { ${among} };`,
      `@id("none") permit (principal, action, resource) when { ${among.replaceAll('==', '!=').replaceAll('||', '&&')} };`,
      `@id("deep") permit (principal, action, resource) when { ${some(55, '+', () => '1')} == 55 };`,
    ];
    const document = compilePolicy({
      schema: { file: 'schema.cedarschema', text: SCHEMA },
      policies: [{ file: 'policies/p.cedar', text: policies.join('\n') }],
      entities: [],
    });
    const engine = createEngine(document);
    const questions = ['u0', 'u899', 'x'].map((id): Question => {
      return {
        principal: uid('User', id),
        action: { name: 'read' },
        resource: uid('File', 'f'),
        context: {},
      };
    });
    const decided = questions.map((question) => engine.decide(question).policies.map(({ id }) => id));
    expect(decided).toEqual([
      ['among', 'deep'],
      ['among', 'deep'],
      ['none', 'deep'],
    ]);
    expect(findDisagreements(document, engine, questions)).toEqual([]);
  });
});

describe('createCedarByAction', () => {
  it('says what Cedar says of all policies at once, and tells of its progress', () => {
    const decided = new Set<string>();
    for (let seed = 0; seed < 20; seed += 1) {
      const document = documentOf(seed);
      const actions: BakedEntity[] = ['read', 'write', 'look'].map((id) => ({
        uid: uid('Action', id),
        attrs: {},
        parents: id === 'look' ? [uid('Action', 'read')] : [uid('Action', 'all')],
      }));
      const more = [
        'permit (principal, action == Action::"write", resource);',
        'forbid (principal, action in [Action::"look", Action::"none"], resource) when { principal has boss };',
        'permit (principal, action in Action::"read", resource);',
        'permit (principal, action in [], resource);',
      ].map((text, index) => `@id("more${index}") ${text}`);
      const policies = [
        ...document.policies,
        ...readPolicies({ file: 'm.cedar', text: more.join('\n') }).map(({ policy }) => policy),
      ];
      const entities = [...document.entities, ...actions];
      const whole = createCedar(policies, () => entities, 'whole');
      const byAction = createCedarByAction(policies, entities);
      const random = makeRandom(seed);
      for (let round = 0; round < 12; round += 1) {
        const question: CedarQuestion = {
          principal: uid('User', `u${random(9)}`),
          action: uid('Action', pick(random, ['read', 'write', 'look', 'other'])),
          resource: uid('File', `f${random(3)}`),
          context: {},
        };
        const answer = whole(question);
        expect(sorted(byAction(question))).toEqual(sorted(answer));
        for (const id of answer.determining) decided.add(id);
      }
    }
    expect([...decided]).toEqual(expect.arrayContaining(['more0', 'more1', 'more2']));
    const document = documentOf(1);
    const told: unknown[] = [];
    const question = {
      principal: uid('User', 'u1'),
      action: { name: 'read' },
      resource: uid('File', 'f0'),
      context: {},
    };
    findDisagreements(document, createEngine(document), [question, question], (...now) => told.push(now));
    expect(told).toEqual([
      [0, 2],
      [1, 2],
    ]);
  });
});

describe('reachableEntities', () => {
  it('are all that a decision depends on: Cedar says the same of them as of the whole release', () => {
    const decided = new Set<string>();
    let fewest = Number.POSITIVE_INFINITY;
    for (let seed = 0; seed < 40; seed += 1) {
      const document = documentOf(seed);
      const actions: BakedEntity[] = ['read', 'write'].map((id) => ({
        uid: uid('Action', id),
        attrs: {},
        parents: [uid('Action', 'all')],
      }));
      const entities = [...document.entities, ...actions];
      const reach = reachableEntities(entities, document.policies);
      const whole = createCedar(document.policies, () => entities, 'whole');
      const part = createCedar(document.policies, reach, 'part');
      const random = makeRandom(seed);
      for (let round = 0; round < 12; round += 1) {
        const question: CedarQuestion = {
          principal: uid('User', `u${random(9)}`),
          action: uid('Action', pick(random, ['read', 'write'])),
          resource: uid('File', `f${random(3)}`),
          context: random(2) === 0 ? {} : { who: { __entity: { type: 'User', id: `u${random(8)}` } } },
        };
        const answer = whole(question);
        expect(sorted(part(question))).toEqual(sorted(answer));
        for (const id of answer.determining) decided.add(id);
        fewest = Math.min(fewest, reach(question).length);
      }
    }
    expect(decided.size).toBe(POLICIES.length);
    expect(fewest).toBeLessThan(10);
  });
});

import { describe, expect, it } from 'vitest';

import type { JsonObject, JsonValue } from '../../src/base/json.ts';
import { createCedar } from '../../src/policy/cedar-wasm.ts';
import { bakeEntity } from '../../src/policy/compile-entities.ts';
import { readPolicies } from '../../src/policy/compile-policies.ts';
import { readSchemaText } from '../../src/policy/compile.ts';
import {
  type BakedEntity,
  type EntityUid,
  type PolicyDocument,
  formatPolicyDocument,
  parsePolicyDocument,
} from '../../src/policy/document.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { type Random, SCHEMA, generatePolicy, makeRandom, pick } from './cedar-generator.ts';

/*
 * The engine beside Cedar's own implementation, over policies, entities and requests made up from a schema that
 * has every type. Cedar gets the policies' text; the engine gets them through policy.json, as a host does.
 * SEALBORN_SEED repeats a run, SEALBORN_ROUNDS makes it longer.
 */
const SEED = Number(process.env['SEALBORN_SEED'] ?? Date.now() % 2 ** 31);
const ROUNDS = Number(process.env['SEALBORN_ROUNDS'] ?? 500);
const POLICIES = 12;
const REQUESTS = 8;

const { json: schema, rules } = readSchemaText({ file: 'schema.cedarschema', text: SCHEMA });

describe('createEngine', () => {
  it(`decides as cedar-wasm does (seed ${SEED})`, { timeout: 120_000 }, () => {
    process.stdout.write(`differential: seed ${SEED}, ${ROUNDS} rounds\n`);
    const random = makeRandom(SEED);
    const tally = { decisions: 0, permits: 0, forbids: 0, errors: 0 };
    for (let round = 0; round < ROUNDS; round += 1) compareRound(random, tally);
    process.stdout.write(`differential: ${JSON.stringify(tally)}\n`);
    // The generator is of use only while all of these happen.
    expect(Math.min(tally.permits, tally.forbids, tally.errors)).toBeGreaterThan(ROUNDS / 5);
  });
});

function compareRound(
  random: Random,
  tally: { decisions: number; permits: number; forbids: number; errors: number },
): void {
  const texts = Array.from({ length: POLICIES }, () => generatePolicy(random));
  const entities = makeEntities(random);
  const placed = readPolicies({ file: 'p.cedar', text: texts.join('\n') });
  const policies = placed.map(({ policy }, index) => ({ ...policy, id: `policy${index}` }));
  // Its bytes are read only where a permit is among them, so one that never applies makes sure.
  const never = {
    ...readPolicies({ file: 'n.cedar', text: 'permit (principal, action, resource) when { false };' })[0]!
      .policy,
  };
  const document: PolicyDocument = {
    format: 1,
    schema,
    policies: [...policies, never],
    entities,
    openTypes: [],
  };
  const engine = createEngine(parsePolicyDocument(formatPolicyDocument(document)), 'skip');
  const all = [...entities, ...ACTIONS];
  const cedar = createCedar(
    texts.map((text, index) => ({ id: `policy${index}`, text })),
    () => all,
    'differential',
  );
  for (let request = 0; request < REQUESTS; request += 1) {
    const question = makeQuestion(random);
    const answer = engine.decide(question);
    const expected = cedar(question);
    const got = {
      allow: answer.decision,
      determining: answer.policies.map(({ id }) => id).sort(),
      errors: answer.errors.map(({ id }) => id).sort(),
    };
    const wanted = { ...expected, determining: expected.determining.sort(), errors: expected.errors.sort() };
    tally.decisions += 1;
    tally.errors += got.errors.length;
    if (got.allow) tally.permits += 1;
    else if (got.determining.length > 0) tally.forbids += 1;
    if (JSON.stringify(got) === JSON.stringify(wanted)) continue;
    const differing = texts.filter((_, index) => {
      const id = `policy${index}`;
      const isIn = (answer: typeof got): boolean[] => [
        answer.errors.includes(id),
        answer.determining.includes(id),
      ];
      return JSON.stringify(isIn(got)) !== JSON.stringify(isIn(wanted));
    });
    const shown = [...differing, JSON.stringify(answer.errors), show(question), ...entities.map(show)].join(
      '\n',
    );
    expect(got, `seed ${SEED}:\n${shown}`).toEqual(wanted);
  }
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === 'bigint' ? `${member}n` : member));
}

const action = (id: string, ...parents: string[]): BakedEntity => ({
  uid: { type: 'Action', id },
  attrs: {},
  parents: parents.map((parent) => ({ type: 'Action', id: parent })),
});
/** The schema's actions: cedar-wasm is given no schema, so that it evaluates what does not fit one. */
const ACTIONS = [action('all'), action('read', 'all'), action('write', 'all'), action('look', 'read')];

const USERS: EntityUid[] = ['u0', 'u1', 'u2', 'ghost'].map((id) => ({ type: 'User', id }));
const GROUPS: EntityUid[] = ['g0', 'g1', 'g2', 'g3'].map((id) => ({ type: 'Group', id }));
const FILES: EntityUid[] = ['f0', 'f1', 'f2'].map((id) => ({ type: 'File', id }));
const COLORS: EntityUid[] = ['red', 'green'].map((id) => ({ type: 'Color', id }));

const someOf = <T>(random: Random, from: readonly T[]): T[] => from.filter(() => random(3) === 0);
const maybe = (random: Random, name: string, value: JsonValue): JsonObject =>
  random(2) === 0 ? {} : Object.fromEntries([[name, value]]);
const long = (random: Random): JsonValue =>
  pick(random, [0, 1, 2, -1, 7, 2 ** 53 - 1, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]);

function makeEntities(random: Random): BakedEntity[] {
  const groups = GROUPS.slice(0, 3).map((uid, index) => ({
    uid,
    attrs: {},
    parents: someOf(random, GROUPS.slice(index + 1)),
  }));
  const users = USERS.slice(0, 3).map((uid) => ({
    uid,
    parents: someOf(random, GROUPS),
    attrs: {
      n: long(random),
      s: pick(random, ['', 'a', 'abc', 'a*b', 'é😀', '1.5', '__proto__']),
      b: random(2) === 0,
      names: someOf(random, ['a', 'b', '__proto__']),
      friends: someOf(random, USERS),
      when: pick(random, ['2024-01-01', '1969-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999-2359']),
      span: pick(random, ['1d', '-1ms', '9223372036854775807ms']),
      ip: pick(random, ['10.0.0.1', '::1', '10.0.0.0/8']),
      price: pick(random, ['1.5', '-0.5', '922337203685477.5807']),
      home: { ...maybe(random, 'city', 'x'), zip: { code: long(random) } },
      ...maybe(random, 'boss', pick(random, USERS)),
      ...maybe(random, 'odd name', long(random)),
    } as JsonObject,
    tags: maybe(random, pick(random, ['a', 'city', '__proto__']), [1, 2]),
  }));
  const files = FILES.slice(0, 2).map((uid, index) => ({
    uid,
    parents: [...someOf(random, GROUPS), ...someOf(random, FILES.slice(index + 1))],
    attrs: {
      owner: pick(random, USERS),
      labels: someOf(random, [1, 2, 3]),
      ...maybe(random, 'size', long(random)),
    },
    tags: maybe(random, pick(random, ['a', 'constructor']), 'b'),
  }));
  return [...groups, ...users, ...files].map((entity) => bakeEntity(entity, rules));
}

/** A question whose context is written out as Cedar's JSON wants it without a schema. */
function makeQuestion(random: Random): {
  principal: EntityUid;
  action: EntityUid;
  resource: EntityUid;
  context: JsonObject;
} {
  const extension = (fn: string, arg: string): JsonValue => ({ __extn: { fn, arg } });
  const context: JsonObject = {
    at: extension('datetime', pick(random, ['2024-01-01', '1970-01-01T00:00:00.001Z'])),
    who: { __entity: pick(random, USERS) },
    set: [[1, 2], []],
    r: { a: long(random), ...maybe(random, 'constructor', 4) },
    ...maybe(random, 'n', long(random)),
    ...maybe(random, 'ip', extension('ip', pick(random, ['10.1.2.3', '::1']))),
  };
  // A computed key is an own property, where `__proto__:` in a literal would not be.
  if (random(2) === 0) Object.defineProperty(context, '__proto__', { value: 'a', enumerable: true });
  return {
    principal: random(5) > 0 ? pick(random, USERS.slice(0, 3)) : pick(random, [...USERS, ...GROUPS]),
    action: { type: 'Action', id: pick(random, ['read', 'read', 'write', 'look', 'all', 'unknown']) },
    resource: random(3) > 0 ? pick(random, FILES.slice(0, 2)) : pick(random, [...FILES, ...COLORS, ...USERS]),
    context,
  };
}

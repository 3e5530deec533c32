import { describe, expect, it } from 'vitest';

import type { JsonObject } from '../../src/base/json.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { formatPolicyDocument, parsePolicyDocument } from '../../src/policy/document.ts';
import { type Decision, type Engine, type Question, createEngine } from '../../src/policy/engine.ts';
import { readEntities } from '../../src/policy/entities.ts';

const schema = `
  entity Group;
  entity User in [Group] = { level: Long, admin?: Bool };
  entity File = { owner?: User, size?: Long };
  action read, write appliesTo { principal: User, resource: File, context: { divisor?: Long } };`;
const entities = `entities:
  - uid: Group::"staff"
  - uid: User::"ana"
    parents: [Group::"staff"]
    attrs: { level: 3 }
  - uid: File::"baked"
    attrs: { owner: { __entity: { type: User, id: bo } } }
  - uid: User::"bo"
    attrs: { level: 1 }
`;
const policies = `
@id("staff-read")
permit (principal in Group::"staff", action == Action::"read", resource);

@id("owners-write")
permit (principal, action == Action::"write", resource)
when { resource has owner && resource.owner == principal };

@id("no-huge")
forbid (principal, action, resource)
when { resource has size && resource.size * 2 > 9000000000000000000 };
`;

function engine(extra = ''): Engine {
  const document = compilePolicy({
    schema: { file: 'schema.cedarschema', text: schema },
    policies: [{ file: 'policies/a.cedar', text: policies + extra }],
    entities: readEntities(Buffer.from(entities), 'entities/a.yaml'),
    openTypes: ['File'],
  });
  return createEngine(parsePolicyDocument(formatPolicyDocument(document)));
}

const question = (
  user: string,
  action: string,
  file: string,
  claimed?: Question['claimed'],
  context: JsonObject = {},
): Question => ({
  principal: { type: 'User', id: user },
  action: { type: 'Action', id: action },
  resource: { type: 'File', id: file },
  context,
  ...(claimed === undefined ? {} : { claimed }),
});
const decide = (...args: Parameters<typeof question>): Decision => engine().decide(question(...args));

describe('createEngine', () => {
  it('permits with the policy, its file and line', () => {
    expect(decide('ana', 'read', 'x')).toMatchObject({
      decision: true,
      reason: 'permit',
      policies: [{ id: 'staff-read', file: 'policies/a.cedar', line: 2 }],
      errors: [],
    });
  });

  it('denies where no policy permits, for people and things it does not know too', () => {
    expect(decide('bo', 'read', 'x')).toMatchObject({ decision: false, reason: 'no-permit', policies: [] });
    expect(decide('nobody', 'write', 'baked')).toMatchObject({ decision: false, reason: 'no-permit' });
  });

  it('lets a request describe a resource of an open type', () => {
    const owner = { __entity: { type: 'User', id: 'ana' } };
    expect(decide('ana', 'write', 'x', { resource: { owner } })).toMatchObject({
      decision: true,
      reason: 'permit',
    });
  });

  it('lets baked data win over what a request claims, and says so', () => {
    const owner = { __entity: { type: 'User', id: 'ana' } };
    expect(decide('ana', 'write', 'baked', { resource: { owner } })).toMatchObject({
      decision: false,
      reason: 'no-permit',
      ignored: ['resource'],
    });
  });

  it('lets no request describe its subject, where users are not open', () => {
    expect(decide('nobody', 'read', 'x', { principal: { level: 9, admin: true } })).toMatchObject({
      decision: false,
      ignored: ['principal'],
    });
  });

  it.each<[string, JsonObject]>([
    ['a number for an entity', { owner: 7 }],
    ['null', { size: null }],
    ['an integer that overflows in a forbid', { size: 2n ** 63n - 1n }],
  ])('denies a request that claims %s, with the reason error', (_, resource) => {
    expect(decide('ana', 'read', 'x', { resource })).toMatchObject({ decision: false, reason: 'error' });
  });

  it.each<[string, JsonObject]>([
    ['parents', { parents: ['Group::"staff"'] }],
    ['__proto__', JSON.parse('{"__proto__": {"owner": 1}}') as JsonObject],
    ['constructor', { constructor: { name: 'x' } }],
  ])('leaves out the attribute %s, which the schema does not name, and says so', (_, resource) => {
    expect(decide('bo', 'write', 'x', { resource })).toMatchObject({
      decision: false,
      reason: 'no-permit',
      errors: [],
      ignored: ['resource'],
    });
  });

  it('denies unknown actions and types', () => {
    expect(decide('ana', 'fly', 'x')).toMatchObject({ decision: false, reason: 'error' });
    const unknown = { ...question('ana', 'read', 'x'), resource: { type: 'Spaceship', id: 'x' } };
    expect(engine().decide(unknown)).toMatchObject({ decision: false, reason: 'error' });
  });

  it('denies where a forbid can not be evaluated, though Cedar would skip it', () => {
    const overflow = decide('ana', 'read', 'x', { resource: { size: 9_000_000_000_000_000 } });
    expect(overflow).toMatchObject({ decision: true });
    const failing = engine(
      '@id("bad-forbid") forbid (principal, action, resource) when { 9223372036854775807 + principal.level > 0 };',
    );
    expect(failing.decide(question('ana', 'read', 'x'))).toMatchObject({
      decision: false,
      reason: 'error',
      policies: [{ id: 'bad-forbid' }],
    });
  });

  it('skips a permit that can not be evaluated', () => {
    const failing = engine(
      '@id("bad-permit") permit (principal, action, resource) when { 9223372036854775807 + principal.level > 0 };',
    );
    expect(failing.decide(question('bo', 'read', 'x'))).toMatchObject({
      decision: false,
      reason: 'no-permit',
      errors: [{ id: 'bad-permit' }],
    });
  });

  it('names the forbid that decided', () => {
    const forbidding = engine('forbid (principal, action, resource) when { principal.level > 2 };');
    expect(forbidding.decide(question('ana', 'read', 'x'))).toMatchObject({
      decision: false,
      reason: 'forbid',
      policies: [{ id: 'a-4', file: 'policies/a.cedar' }],
    });
  });
});

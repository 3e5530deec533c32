import { describe, expect, it } from 'vitest';

import { type JsonObject, type JsonValue, parseJson } from '../../src/base/json.ts';
import { type Evaluation, evaluate, parseEvaluation } from '../../src/policy/authzen.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { formatPolicyDocument, parsePolicyDocument } from '../../src/policy/document.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { readEntities } from '../../src/policy/entities.ts';

/*
 * contracts.md, "What a request may claim": each way to try to be more than one is.
 */
const document = compilePolicy({
  schema: {
    file: 'schema.cedarschema',
    text: `
      entity Role in [Role];
      entity User in [Role] = { level?: Long, admin?: Bool };
      entity Guest in [Role] = { level?: Long };
      entity Doc in [Role] = { owner?: User, public?: Bool, labels?: Set<String>, more?: { depth?: Long }, net?: ipaddr, color?: Color };
      entity Vault = { sealed: Bool };
      entity Color enum ["red"];
      action read, admin appliesTo { principal: [User, Guest], resource: [Doc, Color, Vault], context: { mfa?: Bool } };`,
  },
  policies: [
    {
      file: 'policies/main.cedar',
      text: `
        @id("admins") permit (principal in Role::"admin", action, resource);
        @id("level") permit (principal, action == Action::"read", resource) when { principal has level && principal.level > 5 };
        @id("owner") permit (principal, action, resource is Doc) when { resource has owner && resource.owner == principal };
        @id("docs-of-admins") permit (principal, action == Action::"read", resource in Role::"admin");
        @id("other") permit (principal, action == Action::"read", resource) when { Doc::"named" has public && Doc::"named".public };
        @id("secret") forbid (principal, action, resource) when { resource is Doc && resource has labels && resource.labels.contains("secret") };
        @id("mfa") forbid (principal, action == Action::"admin", resource) unless { context has mfa && context.mfa };
        @id("sealed") forbid (principal, action, resource is Vault) when { resource.sealed };`,
    },
  ],
  entities: readEntities(
    Buffer.from(`entities:
  - uid: Role::admin
  - uid: User::root
    parents: [Role::admin]
  - uid: User::ana
    attrs: { level: 1 }
  - uid: Doc::baked
    attrs: { owner: User::root }
  - uid: User::child
    parents: [Role::stub]
`),
    'entities/main.yaml',
  ),
  openTypes: ['Doc', 'Guest', 'Vault'],
});
const engine = createEngine(parsePolicyDocument(formatPolicyDocument(document)));

function ask(change: {
  subject?: JsonObject;
  action?: string;
  resource?: JsonObject;
  context?: JsonValue;
}): Evaluation {
  const request: JsonObject = {
    subject: { type: 'User', id: 'ana', ...change.subject },
    action: { name: change.action ?? 'read' },
    resource: { type: 'Doc', id: 'x', ...change.resource },
    ...(change.context === undefined ? {} : { context: change.context }),
  };
  // Through bytes, as from a socket: `__proto__` is then a key like any other.
  const bytes = JSON.stringify(request, (_, value: unknown) => value);
  return evaluate(engine, parseEvaluation(parseJson(bytes, 'request', { maxBytes: 1 << 20, maxDepth: 32 })));
}
const own = (json: string): JsonObject => parseJson(json, 'test', { maxBytes: 1 << 20 }) as JsonObject;
const owner = { __entity: { type: 'User', id: 'ana' } };

describe('createEngine: what a request may not claim', () => {
  it.each<[string, Parameters<typeof ask>[0]]>([
    ['an attribute of a baked subject', { subject: { properties: { level: 9 } } }],
    [
      'an attribute of a subject of a closed type',
      { subject: { id: 'new', properties: { level: 9, admin: true } } },
    ],
    [
      'an attribute of a baked resource of an open type',
      { resource: { id: 'baked', properties: { owner } } },
    ],
    [
      'parents among the properties',
      { subject: { properties: { parents: [{ type: 'Role', id: 'admin' }] } } },
    ],
    [
      'parents of a subject of an open type',
      {
        subject: {
          type: 'Guest',
          id: 'g',
          properties: { parents: ['Role::"admin"'], ancestors: ['Role::"admin"'] },
        },
      },
    ],
    [
      'parents of a resource, which policies look at too',
      { resource: { properties: { parents: [{ type: 'Role', id: 'admin' }], in: 'Role::"admin"' } } },
    ],
    [
      '__proto__ that holds an attribute',
      {
        resource: {
          properties: own('{"__proto__": {"owner": {"__entity": {"type": "User", "id": "ana"}}}}'),
        },
      },
    ],
    [
      'constructor and prototype',
      { resource: { properties: own('{"constructor": {"prototype": {"owner": 1}}}') } },
    ],
  ])('ignores %s, and says so', (_, change) => {
    const { decision, context } = ask(change);
    expect({ decision, reason: context.reason }).toEqual({ decision: false, reason: 'no-permit' });
    expect(context.ignored).toHaveLength(1);
  });

  it.each<[string, Parameters<typeof ask>[0]]>([
    ['a subject that is a role', { subject: { type: 'Role', id: 'admin' } }],
    ['a resource that is a role', { resource: { type: 'Role', id: 'admin' } }],
    ['a type in another spelling', { subject: { type: 'user', id: 'root' } }],
    ['a type with its id in it', { subject: { type: 'User::"root"', id: '"' } }],
    ['an id that quotes its way out', { subject: { id: 'x" || true || "' } }],
    ['the type __proto__', { subject: { type: '__proto__', id: 'root' } }],
    ['the id __proto__', { subject: { id: '__proto__' } }],
    ['a colour that is none', { resource: { type: 'Color', id: 'blue' } }],
    ['an action of the schema in another namespace', { action: 'Other::Action::"read"' }],
    ['the action constructor', { action: 'constructor' }],
    [
      'an owner that is a record, not an entity',
      { resource: { properties: { owner: { type: 'Role', id: 'ana' } } } },
    ],
    ['an owner that is a text', { resource: { properties: { owner: 'User::"ana"' } } }],
    [
      'labels that are a text, to slip by a forbid',
      { resource: { properties: { owner, labels: 'secret' } } },
    ],
    [
      'a duration where an address must be, to slip by a forbid',
      { resource: { properties: { owner, net: { __extn: { fn: 'duration', arg: '1h' } } } } },
    ],
    [
      'an owned document of a colour that is none',
      { resource: { properties: { owner, color: { type: 'Color', id: 'blue' } } } },
    ],
    ['labels that are null', { resource: { properties: { owner, labels: null } } }],
    ['a number for a flag of the context', { action: 'admin', context: { mfa: 1 } }],
    [
      'an extension value for a flag',
      { action: 'admin', context: { mfa: { __extn: { fn: 'ip', arg: '::1' } } } },
    ],
  ])('denies %s', (_, change) => {
    expect(ask(change)).toMatchObject({ decision: false });
  });

  it('lets a request describe what is open, and says what of it was not used', () => {
    expect(ask({ resource: { properties: { owner, extra: 1 } } })).toMatchObject({
      decision: true,
      context: { reason: 'permit', policies: [{ id: 'owner' }], ignored: ['resource'] },
    });
    expect(ask({ resource: { properties: { owner, labels: ['secret'] } } }).context).toMatchObject({
      reason: 'forbid',
    });
    expect(ask({ subject: { type: 'Guest', id: 'g', properties: { level: 9 } } }).decision).toBe(true);
    const [net, color] = ['10.0.0.1', { type: 'Color', id: 'red' }];
    expect(ask({ resource: { properties: { owner, net, color } } }).decision).toBe(true);
    expect(ask({ context: { mfa: true, time: 'now' } }).context).toMatchObject({ ignored: ['context'] });
  });

  it('shows what a request describes under every name that policies have for it', () => {
    const named = { id: 'named', properties: { public: true } };
    expect(ask({ resource: named }).context.policies).toMatchObject([{ id: 'other' }]);
    expect(ask({ resource: { ...named, id: 'unnamed' } }).decision).toBe(false);
    // Nothing of a request is left for the next one.
    expect(ask({ resource: { id: 'named' } }).decision).toBe(false);
  });

  it('denies with the reason error where a forbid needs what the request left out', () => {
    const subject = { id: 'root' };
    const vault = (properties?: JsonObject): Evaluation =>
      ask({ subject, resource: { type: 'Vault', id: 'v', ...(properties && { properties }) } });
    const error = { reason: 'error', policies: [{ id: 'sealed', file: 'policies/main.cedar' }] };
    expect(vault()).toMatchObject({ decision: false, context: error });
    expect(vault({ other: 1 })).toMatchObject({ decision: false, context: error });
    expect(vault({ sealed: false }).decision).toBe(true);
    expect(vault({ sealed: true }).context.reason).toBe('forbid');
  });

  it('refuses nesting, duplicate keys and unpaired surrogates before anything is decided', () => {
    const deep = `{"subject":${'['.repeat(1_000_000)}`;
    const limits = { maxBytes: 8 << 20, maxDepth: 32 };
    expect(() => parseJson(deep, 'request', limits)).toThrow(
      expect.objectContaining({ code: 'json-too-deep' }),
    );
    expect(() => parseJson('{"a":1,"a":2}', 'request', limits)).toThrow(
      expect.objectContaining({ code: 'json-duplicate-key' }),
    );
    expect(() => parseJson('{"a":"\\ud800"}', 'request', limits)).toThrow(
      expect.objectContaining({ code: 'json-invalid' }),
    );
  });
});

describe('createEngine: names without their namespace', () => {
  const namespaced = createEngine(
    compilePolicy({
      schema: {
        file: 'schema.cedarschema',
        text: `
          entity User;
          namespace Pay { entity Ledger; entity Doc; action read, pay appliesTo { principal: User, resource: [Ledger, Doc] }; }
          namespace Files { entity Doc; action read appliesTo { principal: User, resource: Doc }; }`,
      },
      policies: [
        {
          file: 'p.cedar',
          text: `@id("pay") permit (principal, action in [Pay::Action::"read", Pay::Action::"pay"], resource);
                 @id("files") permit (principal, action == Files::Action::"read", resource);`,
        },
      ],
      entities: [],
    }),
  );
  const decided = (action: string, type: string): unknown => {
    const { decision, policies } = namespaced.decide({
      principal: { type: 'User', id: 'ana' },
      action: { name: action },
      resource: { type, id: 'x' },
      context: {},
    });
    return decision ? policies[0]?.id : false;
  };
  it('takes the one that there is, and else that of the resource', () => {
    expect(decided('pay', 'Ledger')).toBe('pay');
    expect(decided('read', 'Pay::Ledger')).toBe('pay');
    expect(decided('read', 'Files::Doc')).toBe('files');
    expect(decided('read', 'Pay::Doc')).toBe('pay');
    expect(decided('Files::Action::"read"', 'Files::Doc')).toBe('files');
    expect(decided('Pay::Action::"read"', 'Files::Doc')).toBe(false);
  });
  it('guesses nothing where two namespaces have a type of that name', () => {
    expect(decided('pay', 'Doc')).toBe(false);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { sha256 } from '../../src/base/digest.ts';
import { type JsonValue, parseJson } from '../../src/base/json.ts';
import { evaluate } from '../../src/policy/authzen.ts';
import {
  type SearchKind,
  type SearchRequest,
  type SearchResult,
  parseSearch,
  search,
} from '../../src/policy/authzen-search.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { readEntities } from '../../src/policy/entities.ts';

const USERS = 300;
const users = Array.from({ length: USERS }, (_, index) => {
  const group = index % 7 === 0 ? 'Shop::Group::staff' : 'Shop::Group::guests';
  return `  - uid: Shop::User::u${index}\n    attrs: { level: ${index % 10} }\n    parents: [${group}]\n`;
});
const engine = createEngine(
  compilePolicy({
    schema: {
      file: 'schema.cedarschema',
      text: `
        namespace Shop {
          entity Group;
          entity User in [Group] = { level: Long };
          entity Door = { floor: Long };
          entity Color enum ["red", "green"];
          action open, paint, "odd name" appliesTo { principal: User, resource: [Door, Color] };
          action code appliesTo { principal: User, resource: Door, context: { code: Long } };
        }
        namespace Other { action open appliesTo { principal: Shop::User, resource: Shop::Door }; }`,
    },
    policies: [
      {
        file: 'policies/doors.cedar',
        text: `
          @id("staff") permit (principal in Shop::Group::"staff", action == Shop::Action::"open", resource);
          @id("other") permit (principal in Shop::Group::"staff", action == Other::Action::"open", resource);
          @id("high") permit (principal, action == Shop::Action::"paint", resource is Shop::Door)
            when { principal.level > resource.floor };
          @id("red") permit (principal, action == Shop::Action::"paint", resource == Shop::Color::"red");
          @id("odd") permit (principal, action == Shop::Action::"odd name", resource);
          @id("code") permit (principal, action == Shop::Action::"code", resource) when { context.code == 7 };
          @id("banned") forbid (principal == Shop::User::"u7", action, resource);`,
      },
    ],
    entities: readEntities(
      Buffer.from(`entities:\n${users.join('')}  - uid: Shop::Door::front\n    attrs: { floor: 5 }\n`),
      'entities/main.yaml',
    ),
    openTypes: ['Shop::Door'],
  }),
);
const RELEASE = sha256('release');
const json = (value: unknown): JsonValue =>
  parseJson(JSON.stringify(value), 'request', { maxBytes: 1 << 20 });
const parse = (kind: SearchKind, value: unknown): SearchRequest => parseSearch(kind, json(value));
const run = (request: SearchRequest, maxTried = 1000): SearchResult =>
  search(engine, request, { release: RELEASE, maxTried });

const open = { subject: { type: 'User' }, action: { name: 'open' }, resource: { type: 'Door', id: 'front' } };
/** Every page, by the tokens alone after the first. */
function pages(kind: SearchKind, value: object, maxTried: number): SearchResult[] {
  const out = [run(parse(kind, value), maxTried)];
  for (let token = out[0]?.nextToken; token !== undefined && token !== ''; token = out.at(-1)?.nextToken) {
    out.push(run(parse(kind, { ...value, page: { token } }), maxTried));
  }
  return out;
}

describe('search', () => {
  it('finds exactly those that an evaluation permits, in pages of any size and with any bound of work', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 400 }),
        fc.constantFrom('open', 'paint', 'Other::Action::"open"'),
        (limit, tries, name) => {
          const request = { ...open, action: { name }, page: { limit } };
          const found = pages('subject', request, tries);
          const permitted = Array.from({ length: USERS }, (_, index) => `u${index}`).filter(
            (id) => evaluate(engine, { ...open, action: { name }, subject: { type: 'User', id } }).decision,
          );
          expect(found.flatMap(({ results }) => results)).toEqual(
            permitted.map((id) => ({ type: 'User', id })),
          );
          expect(permitted.length).toBeGreaterThan(20);
          expect(Math.max(...found.map(({ results }) => results.length))).toBeLessThanOrEqual(limit);
          expect(found.length).toBeGreaterThanOrEqual(Math.ceil(USERS / tries));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('finds the choices of an enumerated type, actions by the name that asks for them, and described resources', () => {
    const paint = {
      subject: { type: 'User', id: 'u9' },
      action: { name: 'paint' },
      resource: { type: 'Color' },
    };
    expect(run(parse('resource', paint)).results).toEqual([{ type: 'Color', id: 'red' }]);
    const about = { subject: { type: 'User', id: 'u0' }, resource: { type: 'Door', id: 'front' } };
    const actions = run(parse('action', about)).results;
    // Actions without the context that one needs are not found.
    expect(actions).toEqual([{ name: 'Other::Action::"open"' }, { name: 'odd name' }, { name: 'open' }]);
    for (const action of actions) {
      expect(evaluate(engine, { ...about, action: action as { name: string } }).decision).toBe(true);
    }
    expect(run(parse('action', { ...about, context: { code: 7 } })).results).toContainEqual({ name: 'code' });
    const described = { ...open.resource, id: 'back', properties: { floor: 8 } };
    const high = run(parse('subject', { ...open, action: { name: 'paint' }, resource: described }));
    expect(high.results).toHaveLength(USERS / 10);
  });

  it.each<[string, SearchKind, object, RegExp]>([
    ['an unknown type', 'subject', { ...open, subject: { type: 'Nobody' } }, /no entity of type Nobody/],
    [
      'a type without entities',
      'subject',
      { ...open, subject: { type: 'Group' } },
      /no entity of type Group/,
    ],
    ['an unknown action', 'subject', { ...open, action: { name: 'fly' } }, /no action "fly"/],
    [
      'a type that the action is not for',
      'resource',
      { ...open, subject: { type: 'User', id: 'u0' }, action: { name: 'code' }, resource: { type: 'Color' } },
      /does not apply to a resource/,
    ],
    ['no action for it', 'action', { subject: { type: 'X', id: 'x' }, resource: open.resource }, /no action/],
    [
      'a context that does not fit',
      'subject',
      { ...open, action: { name: 'code' }, context: { code: 'seven' } },
      /context does not fit/,
    ],
  ])('finds nothing for %s and says why', (_, kind, request, message) => {
    const { results, nextToken, errors } = run(parse(kind, request));
    expect({ results, nextToken }).toEqual({ results: [], nextToken: '' });
    expect(errors[0]?.message).toMatch(message);
  });

  it('takes a token for nothing but its own search, release and page length', () => {
    const { nextToken: token } = run(parse('subject', { ...open, page: { limit: 5 } }));
    const withToken = (value: object, more: object = {}): SearchRequest =>
      parse('subject', { ...value, page: { token, ...more } });
    expect(run(withToken(open)).results).toHaveLength(5);
    expect(run(withToken(open, { limit: 5 })).results).toHaveLength(5);
    expect(run(withToken({ ...open, foo: 1, subject: { type: 'User', id: 'x' } })).results).toHaveLength(5);
    const [place, limit, digest] = token.split('.');
    const bad: SearchRequest[] = [
      withToken(open, { limit: 6 }),
      withToken({ ...open, action: { name: 'paint' } }),
      withToken({ ...open, context: { a: 1 } }),
      withToken({ ...open, subject: { type: 'Shop::User' } }),
      withToken({ ...open, resource: { ...open.resource, properties: { floor: 1 } } }),
      ...[
        `${Number(place) + 1}.${limit}.${digest}`,
        `${place}.1000.${digest}`,
        `${place}.${limit}`,
        `0${place}.${limit}.${digest}`,
        `${token}.`,
        'x',
        '-1.5.x',
        '1e3.5.x',
        'constructor',
      ].map((other) => parse('subject', { ...open, page: { token: other } })),
    ];
    for (const request of bad) {
      expect(() => run(request), JSON.stringify(request.page)).toThrow(
        expect.objectContaining({ code: 'request-invalid' }),
      );
    }
    expect(() => search(engine, withToken(open), { release: sha256('another'), maxTried: 1000 })).toThrow(
      expect.objectContaining({ code: 'request-invalid' }),
    );
  });

  it('gives no result for a limit of 0, and at most 1000 however many are asked for', () => {
    const none = run(parse('subject', { ...open, page: { limit: 0 } }));
    expect([none.results, none.nextToken === '']).toEqual([[], false]);
    const all = run(parse('subject', { ...open, page: { limit: 10_000 } }));
    expect(all.nextToken).toBe('');
  });
});

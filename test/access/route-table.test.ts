import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readNormalPath } from '../../src/access/normal-path.ts';
import { createRouteTable } from '../../src/access/route-table.ts';
import { parseTemplate, relate } from '../../src/access/template.ts';

/** What a request comes to: the template and its variables, or the code of the refusal. */
function route(templates: readonly string[], request: string): unknown {
  const find = createRouteTable(templates.map((text) => ({ template: parseTemplate(text) })));
  const [method = '', target = ''] = request.split(' ');
  const path = readNormalPath(target);
  if (typeof path === 'string') throw new Error(path);
  const found = find(method, path);
  if ('refused' in found) return found.refused;
  return [found.route.template.text, Object.fromEntries(found.variables)];
}

const SHOP = [
  'GET /',
  'GET,HEAD /orders/{id}',
  'GET /orders/new',
  'GET /orders/export.csv',
  'POST /orders',
  'GET /files/{path...}',
  'GET /files/admin/keys',
  'GET /a/{x}/c',
  'GET /a/b/z',
  'GET /docs/',
];

describe('createRouteTable', () => {
  it.each<[string, unknown]>([
    ['GET /', ['GET /', {}]],
    ['GET /orders/17', ['GET,HEAD /orders/{id}', { id: '17' }]],
    ['HEAD /orders/17', ['GET,HEAD /orders/{id}', { id: '17' }]],
    ['GET /orders/a%20b', ['GET,HEAD /orders/{id}', { id: 'a b' }]],
    ['GET /orders/new', ['GET /orders/new', {}]],
    ['HEAD /orders/new', ['GET,HEAD /orders/{id}', { id: 'new' }]],
    ['POST /orders', ['POST /orders', {}]],
    ['GET /files/a', ['GET /files/{path...}', { path: 'a' }]],
    ['GET /files/a/b/c', ['GET /files/{path...}', { path: 'a/b/c' }]],
    ['GET /files/admin/keys', ['GET /files/admin/keys', {}]],
    ['GET /files/admin/other', ['GET /files/{path...}', { path: 'admin/other' }]],
    ['GET /a/b/c', ['GET /a/{x}/c', { x: 'b' }]],
    ['GET /a/b/z', ['GET /a/b/z', {}]],
    ['GET /docs/', ['GET /docs/', {}]],
  ])('takes %s as the most specific route that fits', (request, found) => {
    expect(route(SHOP, request)).toEqual(found);
  });

  it.each([
    'DELETE /orders/17',
    'get /orders/17',
    'GET /nothing',
    'GET /orders/17/x',
    'GET /files/',
    'GET /files/a/',
  ])('has no route for %s', (request) => {
    expect(route(SHOP, request)).toBe('no-route');
  });

  it.each([
    ['another case', 'GET /orders/NEW'],
    ['a file ending', 'GET /orders/new.json'],
    ['white space at its end', 'GET /orders/new%20'],
    ['full-width letters', 'GET /orders/%EF%BD%8Eew'],
    ['another ending', 'GET /orders/export.xml'],
    ['a dotless i, a capital of which is I', 'GET /files/adm%C4%B1n/keys'],
    ['a dotted capital I', 'GET /files/ADM%C4%B0N/keys'],
    ['another case under a tail', 'GET /files/ADMIN/keys'],
    ['another case deeper under a tail', 'GET /files/admin/Keys'],
    ['a slash more', 'POST /orders/'],
    ['a slash more after a variable', 'GET /orders/17/'],
    ['a slash less', 'GET /docs'],
    ['a slash more under a tail', 'GET /files/admin/keys/'],
  ])('refuses what looks like a literal of the place: %s', (_, request) => {
    expect(route(SHOP, request)).toBe('path-look-alike');
  });

  it('lets a literal with characters that may be encoded be spelt one way alone', () => {
    const templates = ['GET /users/{id}', 'GET /users/me:export'];
    expect(route(templates, 'GET /users/me:export')).toEqual(['GET /users/me:export', {}]);
    expect(route(templates, 'GET /users/me%3Aexport')).toBe('path-look-alike');
    expect(route(templates, 'GET /users/ana%40example')).toEqual(['GET /users/{id}', { id: 'ana@example' }]);
  });
});

describe('parseTemplate', () => {
  it.each([
    '/orders',
    'GET orders',
    'get /orders',
    'GET,GET /orders',
    'GET, POST /orders',
    'GET /orders//x',
    'GET /orders/../x',
    'GET /orders/{id}/{id}',
    'GET /orders/{id...}/x',
    'GET /orders/x{id}',
    'GET /orders/{}',
    'GET /orders/%2e',
    'GET /orders;x',
    'GET /orders?x',
    'GET /caf\u00e9',
    '* /orders',
  ])('refuses %s', (text) => {
    expect(() => parseTemplate(text)).toThrow();
  });
});

describe('relate', () => {
  it.each<[string, string, string]>([
    ['/a', '/a', 'same'],
    ['/{x}', '/{y}', 'same'],
    ['/a', '/b', 'disjoint'],
    ['/a', '/a/', 'disjoint'],
    ['/{x}', '/', 'disjoint'],
    ['/a', '/{x}', 'first'],
    ['/{x}/b', '/a/{y}', 'crossing'],
    ['/a/{x}', '/a/{y...}', 'first'],
    ['/a/{x...}', '/a/b/c', 'second'],
    ['/{x}/{y...}', '/a/{z...}', 'second'],
    ['/{x}/b', '/a/{y...}', 'crossing'],
    ['/a/{x...}', '/a/', 'disjoint'],
    ['/a/{x...}', '/a/b/', 'disjoint'],
    ['/a/{x...}', '/a/{y...}', 'same'],
  ])('%s and %s: %s', (a, b, relation) => {
    const parts = (path: string): ReturnType<typeof parseTemplate>['parts'] =>
      parseTemplate(`GET ${path}`).parts;
    expect(relate(parts(a), parts(b))).toBe(relation);
    const mirrored = { first: 'second', second: 'first' }[relation] ?? relation;
    expect(relate(parts(b), parts(a))).toBe(mirrored);
  });

  it('says what the table does: of two routes that fit a path, the more specific one is taken', () => {
    const piece = fc.constantFrom('a', 'b', '{x}');
    const path = fc
      .tuple(fc.array(piece, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '/', '/{t...}'))
      .map(
        ([pieces, end]) =>
          `GET /${pieces.map((one, index) => one.replace('x', `x${index}`)).join('/')}${end}`,
      );
    const asked = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(path, path, asked, fc.boolean(), (first, second, segments, slash) => {
        const request = `GET /${segments.join('/')}${slash ? '/' : ''}`;
        const alone = [first, second].filter((one) => Array.isArray(route([one], request)));
        const relation = relate(parseTemplate(first).parts, parseTemplate(second).parts);
        if (alone.length < 2 || relation === 'same' || relation === 'crossing') return;
        expect(relation).not.toBe('disjoint');
        const found = route([second, first], request);
        if (Array.isArray(found)) expect(found[0]).toBe(relation === 'first' ? first : second);
        else expect(found).toBe('path-look-alike');
      }),
      { numRuns: 2000 },
    );
  });
});

import { generateKeyPairSync } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { parseAccessDocument } from '../../src/access/document.ts';
import { readRequestTests } from '../../src/access/request-tests.ts';
import { compileAccess } from '../../src/access/source.ts';
import { newApiKey } from '../../src/access/api-key.ts';
import { type JsonObject, canonicalJson, parseJson } from '../../src/base/json.ts';

function compile(files: Record<string, string>): JsonObject | undefined {
  return compileAccess(
    Object.entries(files).map(([file, text]) => ({ file: `access/${file}`, bytes: Buffer.from(text) })),
  );
}

const jwt = (more: string): string =>
  `identity: [{ jwt: { header: Authorization, scheme: Bearer, issuer: i, audience: a, algorithms: [EdDSA], subject: { type: User, claim: sub }, jwks: id.jwks.json${more} } }]`;
const one = generateKeyPairSync('ed25519');
const keys = (...list: object[]): string => JSON.stringify({ keys: list });
const publicKey = { ...one.publicKey.export({ format: 'jwk' }), kid: 'a' };
const hash = newApiKey().sha256;

describe('compileAccess', () => {
  it('puts files together, each route with its place, and reads back the same from policy.json', () => {
    const section = compile({
      'a.yaml':
        'proxies: [{ name: p, method: request, uri: path }]\nroutes:\n  - { route: GET /a, action: A, resource: "T::x" }\n',
      'b.yaml': `routes:\n  - { route: "GET /b/{x}", action: B, resource: "T::{x}", context: { n: { value: 3 }, h: { header: X-H } } }\n${jwt('')}\n`,
      'id.jwks.json': keys(
        { ...publicKey, x5c: ['…'], use: 'sig' },
        { kty: 'RSA', use: 'enc', n: 'short', e: 'AQAB' },
      ),
    });
    const bytes = canonicalJson(section);
    const read = parseAccessDocument(parseJson(bytes, 'policy.json', { maxBytes: 1_000_000 }) as JsonObject);
    expect(read.routes).toMatchObject([
      { template: { text: 'GET /a' }, file: 'access/a.yaml', line: 3, resource: { id: { value: 'x' } } },
      { template: { text: 'GET /b/{x}' }, file: 'access/b.yaml', line: 2, resource: { id: { path: 'x' } } },
    ]);
    expect(read.identity).toMatchObject([{ jwt: { keys: [publicKey] } }]);
    expect(bytes).not.toContain('x5c');
    expect(canonicalJson(compile({}) ?? null)).toBe('null');
  });

  const route = (text: string): string => `routes: [{ route: "${text}", action: A, resource: "T::x" }]\n`;
  it.each<[string, Record<string, string>, RegExp]>([
    ['an unknown field', { 'a.yaml': 'route: []\n' }, /a\.yaml:1: route is not known here/],
    [
      'two routes of one form',
      { 'a.yaml': route('GET /a/{x}'), 'b.yaml': route('GET,POST /a/{y}') },
      /b\.yaml:1: "GET,POST \/a\/\{y\}" and "GET \/a\/\{x\}" at access\/a\.yaml:1 fit the same GET/,
    ],
    [
      'two routes that cross',
      { 'a.yaml': route('GET /{x}/b'), 'b.yaml': route('GET /a/{y}') },
      /neither is the more specific/,
    ],
    [
      'a variable that the path does not have',
      { 'a.yaml': 'routes: [{ route: GET /a, action: A, resource: "T::{x}" }]\n' },
      /uses \{x\}, which the path/,
    ],
    [
      'half a variable in an id',
      { 'a.yaml': 'routes: [{ route: "GET /{x}", action: A, resource: "T::a{x}" }]\n' },
      /must be such as Ledger/,
    ],
    [
      'identity in two files',
      { 'a.yaml': 'identity: []\n', 'b.yaml': 'identity: []\n' },
      /b\.yaml: "identity" stands in access\/a\.yaml already/,
    ],
    [
      'two sources in one',
      { 'a.yaml': 'identity: [{ apiKey: { header: a }, peer: {} }]\n' },
      /must be one of apiKey, jwt/,
    ],
    [
      'a key twice',
      {
        'a.yaml': `apiKeys: [{ id: a, subject: A::b, sha256: ${hash} }, { id: b, subject: A::c, sha256: ${hash} }]\n`,
      },
      /stands twice/,
    ],
    [
      'an API key in place of its hash',
      { 'a.yaml': `apiKeys: [{ id: a, subject: A::b, sha256: ${newApiKey().key} }]\n` },
      /must be a SHA-256 digest/,
    ],
    [
      'nobody as a peer',
      { 'a.yaml': 'identity: [{ peer: { users: { nobody: "A::b" } } }]\n' },
      /must not name "nobody"/,
    ],
    [
      'the number of nobody as a proxy',
      {
        'a.yaml':
          'identity: [{ clientCertificate: { header: x, proxies: { users: [65534] }, subjects: {} } }]\n',
      },
      /must be an account of its own/,
    ],
    [
      'HMAC',
      { 'a.yaml': jwt('').replace('EdDSA', 'HS256'), 'id.jwks.json': keys(publicKey) },
      /algorithms\[0\] must be one of/,
    ],
    [
      'no signature',
      { 'a.yaml': jwt('').replace('EdDSA', 'none'), 'id.jwks.json': keys(publicKey) },
      /algorithms\[0\] must be one of/,
    ],
    [
      'a clock skew of an hour',
      { 'a.yaml': jwt(', clockSkewSeconds: 3600'), 'id.jwks.json': keys(publicKey) },
      /from 0 to 600/,
    ],
    ['keys that are not there', { 'a.yaml': jwt('') }, /there is no access\/"id\.jwks\.json"/],
    [
      'keys elsewhere',
      { 'a.yaml': jwt('').replace('id.jwks.json', '../id.jwks.json') },
      /must be a file of access/,
    ],
    [
      'a private key',
      { 'a.yaml': jwt(''), 'id.jwks.json': keys({ ...one.privateKey.export({ format: 'jwk' }) }) },
      /is a private or shared key/,
    ],
    [
      'a shared key',
      { 'a.yaml': jwt(''), 'id.jwks.json': keys({ kty: 'oct', k: 'AAAA' }) },
      /is a private or shared key/,
    ],
    [
      'a short RSA key',
      { 'a.yaml': jwt(''), 'id.jwks.json': keys({ kty: 'RSA', e: 'AQAB', n: 'A'.repeat(171) }) },
      /must not be|is longer|base64url|must be/,
    ],
    [
      'two keys without names',
      { 'a.yaml': jwt(''), 'id.jwks.json': keys({ ...publicKey, kid: undefined }, publicKey) },
      /each must have a kid of its own/,
    ],
    [
      'a key of small order, with which everything verifies',
      {
        'a.yaml': jwt(''),
        'id.jwks.json': keys({ ...publicKey, x: Buffer.alloc(32, 0).fill(1, 0, 1).toString('base64url') }),
      },
      /is no key that can verify anything: Ed25519: the point is of small/,
    ],
    [
      'a point that is not on its curve',
      {
        'a.yaml': jwt('').replace('EdDSA', 'ES256'),
        'id.jwks.json': keys({ kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) }),
      },
      /is no key that can verify anything/,
    ],
    [
      'an algorithm without a key',
      { 'a.yaml': jwt('').replace('EdDSA', 'ES256, RS256'), 'id.jwks.json': keys(publicKey) },
      /has no key for ES256, RS256/,
    ],
    [
      'one issuer in two sources, of which the second would never be asked',
      {
        'a.yaml': `${jwt('').slice(0, -1)}, ${jwt('').slice('identity: ['.length).replace('audience: a', 'audience: b')}`,
        'id.jwks.json': keys(publicKey),
      },
      /the issuer of tokens .* stands twice/,
    ],
    [
      'a proxy that its clients would be',
      {
        'a.yaml':
          'identity: [{ clientCertificate: { header: x, proxies: { users: [33] }, subjects: {} } }, { peer: { users: { "33": "A::b" } } }]\n',
      },
      /"33" is a proxy, and a subject under "peer"/,
    ],
    ['no key', { 'a.yaml': jwt(''), 'id.jwks.json': keys() }, /must have at least 1/],
  ])('refuses %s', (_, files, message) => {
    expect(() => compile(files)).toThrow(message);
  });
});

describe('readRequestTests', () => {
  const access = parseAccessDocument(
    compile({
      'a.yaml':
        'routes:\n  - { route: "GET /a/{x}", action: Read, resource: "T::{x}", context: { n: { header: X-N, as: long } } }\n  - { route: GET /a/new, action: Make, resource: "T::new" }\n',
    }),
  );
  const read = (yaml: string): ReturnType<typeof readRequestTests> =>
    readRequestTests(Buffer.from(`requests:\n  - ${yaml}\n`), 'tests/r.yaml', access);

  it('makes of each request and principal the question that the agent would ask', () => {
    expect(
      read(
        '{ name: n, principals: ["U::a", "U::b"], requests: [GET /a/1, GET /a/new], headers: { x-n: "9007199254740993" }, permit: ["U::a GET /a/1"], refused: { GET /A/1: path-look-alike, GET /b: no-route } }',
      ),
    ).toMatchObject([
      {
        principal: { id: 'a' },
        action: 'Read',
        resource: { type: 'T', id: '1' },
        context: { n: 9007199254740993n },
        expected: true,
        line: 2,
        test: 'n: GET /a/1',
      },
      { principal: { id: 'b' }, action: 'Read', expected: false },
      { principal: { id: 'a' }, action: 'Make', resource: { id: 'new' }, expected: false },
      { principal: { id: 'b' }, action: 'Make', expected: false },
    ]);
  });

  it.each<[string, string, RegExp]>([
    [
      'a request without route',
      '{ name: n, principals: ["U::a"], requests: [POST /a/1], permit: [] }',
      /r\.yaml:2: "POST \/a\/1" is refused: no-route/,
    ],
    [
      'a permit that is not asked',
      '{ name: n, principals: ["U::a"], requests: [GET /a/1], permit: ["U::b GET /a/1"] }',
      /is not in the matrix/,
    ],
    [
      'a refusal that does not come',
      '{ name: n, principals: ["U::a"], requests: [GET /a/1], permit: [], refused: { GET /a/2: no-route } }',
      /"GET \/a\/2" comes to the route "GET \/a\/\{x\}", not to no-route/,
    ],
    [
      'a refusal for another reason',
      '{ name: n, principals: ["U::a"], requests: [GET /a/1], permit: [], refused: { GET //a: no-route } }',
      /comes to path-not-normal/,
    ],
    [
      'a header that does not fit',
      '{ name: n, principals: ["U::a"], requests: [GET /a/1], headers: { x-n: "1.5" }, permit: [] }',
      /header-malformed/,
    ],
    [
      'a header that no route reads',
      '{ name: n, principals: ["U::a"], requests: [GET /a/1], headers: { x-m: "1" }, permit: [] }',
      /no route reads the header x-m/,
    ],
    [
      'a header that is none',
      '{ name: n, principals: ["U::a"], requests: [GET /a/1], headers: { "x n": "1" }, permit: [] }',
      /must be the name of a header/,
    ],
  ])('refuses %s', (_, yaml, message) => {
    expect(() => read(yaml)).toThrow(message);
  });
});

import { type KeyObject, createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { isApiKey, newApiKey } from '../../src/access/api-key.ts';
import { unknownAccounts } from '../../src/access/peer.ts';
import { sha256 } from '../../src/base/digest.ts';
import { openGate, whoOf } from './ask-gate.ts';

const [alive, revoked, expired, other] = [newApiKey(), newApiKey(), newApiKey(), newApiKey()];
const HTTP = `
proxies: [{ name: nginx, method: request, uri: path }]
routes: [{ route: "GET /x", action: Read, resource: Thing::x }]
`;
const KEYS = `
apiKeys:
  - { id: shop-1, subject: Service::shop, sha256: ${alive.sha256}, expires: 2030-01-01T00:00:00Z }
  - { id: shop-0, subject: Service::shop, sha256: ${revoked.sha256}, revoked: true }
  - { id: old, subject: Service::old, sha256: ${expired.sha256}, expires: 2026-01-01T00:00:00Z }
`;
const NOW = new Date('2026-11-25T12:00:00Z');
const target = '/authz/nginx/x';

describe('newApiKey', () => {
  it('makes a key with prefix and checksum, and the hash of all of it', () => {
    expect(alive.key).toMatch(/^sbk_[0-9A-Za-z]{49}$/);
    expect(alive.sha256).toBe(sha256(alive.key));
    expect(isApiKey(alive.key)).toBe(true);
    expect(new Set([alive, revoked, expired, other].map(({ key }) => key)).size).toBe(4);
  });

  it('is told from every key with one character changed, cut off or added', () => {
    for (let at = 0; at < alive.key.length; at += 1) {
      const changed = alive.key[at] === 'q' ? 'r' : 'q';
      expect(isApiKey(`${alive.key.slice(0, at)}${changed}${alive.key.slice(at + 1)}`)).toBe(false);
    }
    expect(isApiKey(alive.key.slice(0, -1))).toBe(false);
    expect(isApiKey(`${alive.key}0`)).toBe(false);
    expect(isApiKey(`${alive.key}\n`)).toBe(false);
  });
});

describe('an API key', () => {
  const gate = openGate({
    'a.yaml': `${HTTP}${KEYS}identity: [{ apiKey: { header: X-API-Key } }, { apiKey: { header: Authorization, scheme: Bearer } }]`,
  });
  it.each<[string, [string, string][], string]>([
    ['is its subject', [['x-api-key', alive.key]], 'Service::"shop"'],
    [
      'is its subject as a bearer too, in any case',
      [['AUTHORIZATION', `bEaReR ${alive.key}`]],
      'Service::"shop"',
    ],
    [
      'may be shown twice over, if it says the same',
      [
        ['X-API-Key', alive.key],
        ['Authorization', `Bearer ${alive.key}`],
      ],
      'Service::"shop"',
    ],
    ['is needed', [], 'no-identity'],
    ['is not an empty header', [['X-API-Key', '']], 'no-identity'],
    ['is refused unknown', [['X-API-Key', other.key]], 'api-key-unknown'],
    ['is refused revoked', [['X-API-Key', revoked.key]], 'api-key-revoked'],
    ['is refused expired', [['X-API-Key', expired.key]], 'api-key-expired'],
    ['is refused mistyped', [['X-API-Key', `${alive.key.slice(0, -1)}!`]], 'api-key-malformed'],
    ['is not its hash', [['X-API-Key', alive.sha256]], 'credential-unknown'],
    [
      'is not hidden by another',
      [
        ['X-API-Key', alive.key],
        ['Authorization', `Bearer ${revoked.key}`],
      ],
      'api-key-revoked',
    ],
    ['is not two in one header', [['X-API-Key', `${alive.key}, ${alive.key}`]], 'api-key-malformed'],
    [
      'is not sent twice',
      [
        ['X-API-Key', alive.key],
        ['x-api-key', alive.key],
      ],
      'credential-repeated',
    ],
    [
      'is not in two Authorization headers',
      [
        ['Authorization', `Bearer ${alive.key}`],
        ['authorization', `Bearer ${other.key}`],
      ],
      'credential-repeated',
    ],
    ['is not of another scheme', [['Authorization', `Basic ${alive.key}`]], 'credential-unknown'],
    [
      'does not excuse what else is shown',
      [
        ['X-API-Key', alive.key],
        ['Authorization', 'Basic YTpi'],
      ],
      'credential-unknown',
    ],
    ['is not in a header that the release does not name', [['X-Api-Key2', alive.key]], 'no-identity'],
  ])('%s', async (_, headers, who) => {
    expect(whoOf(await gate({ target, headers, now: NOW }))).toBe(who);
  });

  it('expires to the second', async () => {
    const headers = [['X-API-Key', alive.key]] as const;
    expect(whoOf(await gate({ target, headers, now: new Date('2029-12-31T23:59:59Z') }))).toBe(
      'Service::"shop"',
    );
    expect(whoOf(await gate({ target, headers, now: new Date('2030-01-01T00:00:00Z') }))).toBe(
      'api-key-expired',
    );
  });
});

const issuerKeys = {
  old: generateKeyPairSync('ed25519'),
  new: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const stranger = generateKeyPairSync('ed25519');
const jwk = (key: KeyObject, more: object): object => ({ ...key.export({ format: 'jwk' }), ...more });
const JWKS = JSON.stringify({
  keys: [
    jwk(issuerKeys.old.publicKey, { kid: 'old', alg: 'EdDSA', use: 'sig', x5t: 'ignored' }),
    jwk(issuerKeys.new.publicKey, { kid: 'new', use: 'sig' }),
    jwk(rsa.publicKey, { kid: 'rsa' }),
    jwk(rsa.publicKey, { kid: 'rsa', use: 'enc' }),
  ],
});
const TOKENS = `
identity:
  - jwt:
      header: Authorization
      scheme: Bearer
      issuer: https://id.example
      audience: payments
      algorithms: [EdDSA, ES256]
      clockSkewSeconds: 10
      maxAgeSeconds: 3600
      typ: at+jwt
      claims: { tenant: acme }
      subject: { type: User, claim: sub }
      properties: { team: department }
      jwks: id.jwks.json
  - apiKey: { header: Authorization, scheme: Bearer }
`;

const seconds = NOW.getTime() / 1000;
const CLAIMS = {
  iss: 'https://id.example',
  aud: 'payments',
  sub: 'ana',
  tenant: 'acme',
  iat: seconds,
  exp: seconds + 300,
};
const HEAD = { alg: 'EdDSA', kid: 'old', typ: 'at+jwt' };
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token, signed as its header says unless told otherwise. */
function token(
  claims: object = {},
  head: object = {},
  signer: (data: Buffer) => Buffer = byOld,
  opening = '{',
): string {
  const header = JSON.stringify({ ...HEAD, ...head }).replace('{', opening);
  return raw(JSON.stringify({ ...CLAIMS, ...claims }), signer, header);
}
/** A token with exactly this payload and header. */
function raw(
  payload: string | Buffer,
  signer: (data: Buffer) => Buffer = byOld,
  header = JSON.stringify(HEAD),
): string {
  const data = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.');
  return `${data}.${signer(Buffer.from(data)).toString('base64url')}`;
}
/** A token whose payload begins with the one member, and has the other in place of what is called like that. */
function twice(first: string, second: string): string {
  const [name = ''] = second.split(':');
  const claims = Object.entries(CLAIMS).filter(([claim]) => JSON.stringify(claim) !== name);
  return raw(`{${first},${JSON.stringify(Object.fromEntries(claims)).slice(1, -1)},${second}}`);
}
const byOld = (data: Buffer): Buffer => sign(null, data, issuerKeys.old.privateKey);
const byNew = (data: Buffer): Buffer =>
  sign('sha256', data, { key: issuerKeys.new.privateKey, dsaEncoding: 'ieee-p1363' });
const byRsa = (data: Buffer): Buffer => sign('sha256', data, rsa.privateKey);
const bySecret = (secret: string | Buffer) => (data: Buffer) =>
  createHmac('sha256', secret).update(data).digest();
const spki = createPublicKey(issuerKeys.old.privateKey).export({ type: 'spki', format: 'pem' });

describe('a token', () => {
  const gate = openGate({ 'a.yaml': `${HTTP}${KEYS}${TOKENS}`, 'id.jwks.json': JWKS }, ['User::"ana"']);
  const asked = async (bearer: string): Promise<string> =>
    whoOf(await gate({ target, headers: [['Authorization', `Bearer ${bearer}`]], now: NOW }));

  it.each<[string, string]>([
    ['of the first key', token()],
    ['of the second key', token({}, { alg: 'ES256', kid: 'new' }, byNew)],
    ['for several audiences', token({ aud: ['other', 'payments'] })],
    ['expired within the clock skew', token({ exp: seconds - 5 })],
  ])('names its subject: %s', async (_, bearer) => {
    expect(await asked(bearer)).toBe('User::"ana"');
  });

  it('says of its subject what the release asks it for, and nothing else', async () => {
    const outcome = await gate({
      target,
      headers: [['Authorization', `Bearer ${token({ department: 'support', admin: true })}`]],
      now: NOW,
    });
    expect(outcome).toMatchObject({
      question: { subject: { type: 'User', id: 'ana', properties: { team: 'support' } } },
    });
    expect(JSON.stringify(outcome)).not.toContain('admin');
  });

  it('stands beside API keys in the same header', async () => {
    expect(await asked(alive.key)).toBe('Service::"shop"');
    expect(await asked(other.key)).toBe('api-key-unknown');
  });

  it.each<[string, string, string]>([
    ['expired', token({ exp: seconds - 11 }), 'token-expired'],
    ['without an expiry', token({ exp: undefined }), 'token-invalid'],
    ['too old', token({ iat: seconds - 3700 }), 'token-expired'],
    ['without its time', token({ iat: undefined }), 'token-invalid'],
    ['not valid yet', token({ nbf: seconds + 60 }), 'token-invalid'],
    ['for another audience', token({ aud: 'shop' }), 'token-invalid'],
    ['for no audience', token({ aud: undefined }), 'token-invalid'],
    ['of another issuer', token({ iss: 'https://evil.example' }), 'credential-unknown'],
    ['of no issuer', token({ iss: undefined }), 'credential-unknown'],
    ['of two issuers', token({ iss: ['https://id.example'] }), 'credential-unknown'],
    ['of another type', token({}, { typ: 'JWT' }), 'token-invalid'],
    ['with another value of a claim', token({ tenant: 'evil' }), 'token-invalid'],
    ['without a claim', token({ tenant: undefined }), 'token-invalid'],
    ['with a claim as a list', token({ tenant: ['acme'] }), 'token-invalid'],
    ['with a number that is rounded when it is read', token({ department: 2 ** 53 }), 'token-invalid'],
    ['without a subject', token({ sub: undefined }), 'token-invalid'],
    ['with an empty subject', token({ sub: '' }), 'token-invalid'],
    ['with a subject that is no text', token({ sub: { id: 'ana' } }), 'token-invalid'],
    ['of a subject that the release does not have', token({ sub: 'eve' }), 'subject-unknown'],
    ['signed by nobody', token({}, { alg: 'none' }, () => Buffer.alloc(0)), 'token-invalid'],
    ['signed by nobody, in capitals', token({}, { alg: 'NONE' }, () => Buffer.alloc(0)), 'token-invalid'],
    ['with an empty signature', token({}, {}, () => Buffer.alloc(0)), 'token-invalid'],
    ['HS256 with the public key as PEM', token({}, { alg: 'HS256' }, bySecret(spki)), 'token-invalid'],
    [
      'HS256 with the public key as JWK',
      token({}, { alg: 'HS256' }, bySecret(JSON.stringify(jwk(issuerKeys.old.publicKey, {})))),
      'token-invalid',
    ],
    ['HS256 with an empty key', token({}, { alg: 'HS256' }, bySecret('')), 'token-invalid'],
    [
      'of a key of the set, with an algorithm that is not allowed',
      token({}, { alg: 'RS256', kid: 'rsa' }, byRsa),
      'token-invalid',
    ],
    [
      'of a key that is not in the set',
      token({}, {}, (data) => sign(null, data, stranger.privateKey)),
      'token-invalid',
    ],
    [
      'of a key that it brings itself',
      token({}, { jwk: jwk(stranger.publicKey, {}), kid: 'own' }, (data) =>
        sign(null, data, stranger.privateKey),
      ),
      'token-invalid',
    ],
    [
      'of a key that it links to',
      token({}, { jku: 'https://evil.example/jwks', kid: 'own' }, (data) =>
        sign(null, data, stranger.privateKey),
      ),
      'token-invalid',
    ],
    ['that names the wrong key', token({}, { kid: 'new' }), 'token-invalid'],
    ['with an extension nobody knows', token({}, { crit: ['x'], x: 1 }), 'token-invalid'],
    ['whose payload is not encoded', token({}, { b64: false, crit: ['b64'] }), 'token-invalid'],
    [
      'changed after it was signed',
      token().replace(encode(CLAIMS), encode({ ...CLAIMS, sub: 'ana2' })),
      'token-invalid',
    ],
    ['with a claim twice', twice('"sub":"eve"', '"sub":"ana"'), 'token-invalid'],
    ['with a claim twice, alike', twice('"sub":"ana"', '"sub":"ana"'), 'token-invalid'],
    ['with a claim twice, once escaped', twice('"s\\u0075b":"eve"', '"sub":"ana"'), 'token-invalid'],
    ['with a claim twice within one', twice('"x":{"a":1,"a":2}', '"sub":"ana"'), 'token-invalid'],
    [
      'of another issuer first',
      twice('"iss":"https://evil.example"', '"iss":"https://id.example"'),
      'token-invalid',
    ],
    [
      'of another issuer last',
      twice('"iss":"https://id.example"', '"iss":"https://evil.example"'),
      'credential-unknown',
    ],
    ['with an algorithm twice', token({}, {}, byOld, '{"alg":"none",'), 'token-invalid'],
    ['with a key id twice', token({}, {}, byOld, '{"kid":"new",'), 'token-invalid'],
    ['with text after its payload', raw(`${JSON.stringify(CLAIMS)} {}`), 'credential-unknown'],
    [
      'with half a character in it',
      raw(JSON.stringify({ ...CLAIMS, x: '@' }).replace('@', '\\ud800')),
      'token-invalid',
    ],
    [
      'with bytes that are no UTF-8',
      raw(Buffer.from(JSON.stringify({ ...CLAIMS, x: '\u00ff' }), 'latin1')),
      'token-invalid',
    ],
    [
      'nested deeper than anything means',
      raw(`{"x":${'['.repeat(40)}${']'.repeat(40)},${JSON.stringify(CLAIMS).slice(1)}`),
      'token-invalid',
    ],
    ['in five parts', `${token()}.a.b`, 'credential-unknown'],
    ['that is none', 'abc', 'credential-unknown'],
    ['of 8,193 characters', token({ x: 'a'.repeat(6000) }), 'credential-unknown'],
  ])('is refused %s', async (_, bearer, refusal) => {
    expect(await asked(bearer)).toBe(refusal);
  });
});

const OTHERS = `
identity:
  - apiKey: { header: X-API-Key }
  - clientCertificate:
      header: X-Client-DN
      proxies: { users: [www-data], groups: [web] }
      subjects: { "CN=shop,O=Example": Service::shop, "CN=old,O=Example": Service::old }
  - peer:
      users: { backup: Service::backup, "1001": Service::numbered }
      groups: { ops: Service::ops }
`;

describe('a certificate that a proxy vouches for, and the process that asks', () => {
  const gate = openGate({ 'a.yaml': `${HTTP}${KEYS}${OTHERS}` });
  const dn = (name: string): [string, string] => ['X-Client-DN', name];
  const peer = (uid: number, gid = uid, groups: number[] = []): object => ({ pid: 1, uid, gid, groups });
  it.each<[string, object | undefined, [string, string][], string]>([
    ['a certificate from the proxy', peer(33), [dn('CN=shop,O=Example')], 'Service::"shop"'],
    [
      'a certificate from a proxy by its further group',
      peer(7, 7, [360]),
      [dn('CN=old,O=Example'), ['X-API-Key', alive.key]],
      'identity-conflict',
    ],
    ['a certificate from another process', peer(1000), [dn('CN=shop,O=Example')], 'proxy-not-trusted'],
    ['a certificate over TCP', undefined, [dn('CN=shop,O=Example')], 'proxy-not-trusted'],
    ['a certificate from root', peer(0), [dn('CN=shop,O=Example')], 'proxy-not-trusted'],
    ['an unknown certificate', peer(33), [dn('CN=shop,O=Example ')], 'certificate-unknown'],
    ['a certificate of a name that every object has', peer(33), [dn('constructor')], 'certificate-unknown'],
    [
      'a certificate twice',
      peer(33),
      [dn('CN=shop,O=Example'), dn('CN=old,O=Example')],
      'credential-repeated',
    ],
    [
      'a certificate and a key of the same subject',
      peer(33),
      [dn('CN=shop,O=Example'), ['X-API-Key', alive.key]],
      'Service::"shop"',
    ],
    [
      'a certificate and a key of different subjects',
      peer(33),
      [dn('CN=old,O=Example'), ['X-API-Key', alive.key]],
      'identity-conflict',
    ],
    ['a user by name', peer(34), [], 'Service::"backup"'],
    ['a user by number', peer(1001), [], 'Service::"numbered"'],
    ['a group', peer(7, 350), [], 'Service::"ops"'],
    ['a further group', peer(7, 7, [4, 350]), [], 'Service::"ops"'],
    ['a user and a group that are different subjects', peer(34, 350), [], 'identity-conflict'],
    ['a user that shows the key of another', peer(34), [['X-API-Key', alive.key]], 'identity-conflict'],
    ['the wrong user', peer(35), [], 'no-identity'],
    ['the user that the kernel can not name', peer(65_534), [], 'no-identity'],
    ['a number that is a group, as user', peer(350, 7), [], 'no-identity'],
    ['a number that is a user, as group', peer(7, 34), [], 'no-identity'],
    ['nobody, over TCP', undefined, [], 'no-identity'],
  ])('%s', async (_, who, headers, subject) => {
    const outcome = await gate({
      target,
      headers,
      now: NOW,
      ...(who === undefined ? {} : { peer: who as never }),
    });
    expect(whoOf(outcome)).toBe(subject);
  });
});

describe('unknownAccounts', () => {
  it('names the users and groups that the release gives and the machine does not have', () => {
    const known = { user: (name: string) => ({ backup: 34 })[name], group: () => undefined };
    const rules = { header: 'x', proxies: { users: ['www-data', 33], groups: ['web'] }, subjects: new Map() };
    const users = new Map([
      ['backup', { type: 'Service', id: 'backup' }],
      ['1001', { type: 'Service', id: 'numbered' }],
      ['backpu', { type: 'Service', id: 'misspelt' }],
    ]);
    expect(unknownAccounts([{ clientCertificate: rules }, { peer: { users } }], known)).toEqual([
      'user www-data',
      'user backpu',
      'group web',
    ]);
  });
});

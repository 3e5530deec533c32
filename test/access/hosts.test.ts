import { describe, expect, it } from 'vitest';

import { newApiKey } from '../../src/access/api-key.ts';
import { readHost } from '../../src/access/host-name.ts';
import { readRequestTests } from '../../src/access/request-tests.ts';
import { compileAccess } from '../../src/access/source.ts';
import { parseAccessDocument } from '../../src/access/document.ts';
import { openGate } from './ask-gate.ts';

const ana = newApiKey();
const KEYS = `
identity: [{ apiKey: { header: X-API-Key } }]
apiKeys: [{ id: ana, subject: User::ana, sha256: ${ana.sha256} }]
`;
const ROUTES = `
routes:
  - { route: "GET /a", hosts: [shop.example, WWW.Shop.Example], action: Shop, resource: T::x }
  - { route: "GET /a", hosts: [admin.example], action: Admin, resource: T::x }
  - { route: "GET /a", hosts: ["[2001:DB8:0:0::1]", 192.0.2.1], action: Address, resource: T::x }
  - { route: "GET /a", action: Any, resource: T::x }
  - { route: "GET /only", hosts: [shop.example], action: Only, resource: T::x }
  - { route: "GET /users/me", hosts: [shop.example], action: Me, resource: T::x }
  - { route: "GET /users/{id}", action: User, resource: "T::{id}" }
`;
const PROXIES = `
proxies:
  - { name: own, method: request, uri: path, host: request }
  - { name: forwarded, method: request, uri: path, host: { header: X-Forwarded-Host } }
`;

describe('readHost', () => {
  it.each([
    ['shop.example', 'shop.example'],
    ['SHOP.Example', 'shop.example'],
    ['shop.example:8443', 'shop.example'],
    ['shop_1.example:0', 'shop_1.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['192.0.2.1:80', '192.0.2.1'],
    ['[2001:DB8:0:0:0::1]:443', '[2001:db8::1]'],
    ['[::ffff:192.0.2.1]', '[::ffff:c000:201]'],
  ])('reads %s as %s', (authority, host) => {
    expect(readHost(authority)?.host).toBe(host);
  });

  it.each([
    '',
    'shop.example.',
    'shop.example.:80',
    '.shop.example',
    'shop..example',
    'shop.example:',
    'shop.example:65536',
    'shop.example:+80',
    'shop.example:80:80',
    'shop.example, evil.example',
    'ana@shop.example',
    'shop.example/a',
    'shop.example#',
    'shop.example\\a',
    ' shop.example',
    'sh%6fp.example',
    'b\u00fccher.example',
    'shop\u3002example',
    '2001:db8::1',
    '[2001:db8::1',
    '[2001:db8::1%25eth0]',
    '[1:2]',
    '[::1].example',
    'a'.repeat(254),
  ])('reads "%s" as no host', (authority) => {
    expect(readHost(authority)).toBeUndefined();
  });
});

describe('a route with hosts', () => {
  const gate = openGate({ 'a.yaml': `${PROXIES}${ROUTES}${KEYS}` });
  const ask = async (
    path: string,
    headers: readonly (readonly [string, string])[],
    proxy = 'own',
  ): Promise<string> => {
    const outcome = await gate({
      target: `/authz/${proxy}${path}`,
      headers: [['X-API-Key', ana.key], ...headers],
    });
    return 'refused' in outcome ? outcome.refused : outcome.question.action.name;
  };

  it.each([
    ['shop.example', 'Shop'],
    ['Shop.Example:8443', 'Shop'],
    ['www.shop.example', 'Shop'],
    ['ADMIN.example', 'Admin'],
    ['[2001:db8::1]:443', 'Address'],
    ['[2001:db8:0::0:1]', 'Address'],
    ['192.0.2.1', 'Address'],
    ['other.example', 'Any'],
    ['xshop.example', 'Any'],
    ['shop.example.evil', 'Any'],
    ['shop.example.', 'host-not-normal'],
    ['shop.example,admin.example', 'host-not-normal'],
    ['', 'request-missing'],
  ])('is for Host: %s: %s', async (host, wanted) => {
    expect(await ask('/a', [['Host', host]])).toBe(wanted);
  });

  it('goes before one for any host, and is none for another', async () => {
    expect(await ask('/only', [['Host', 'shop.example']])).toBe('Only');
    expect(await ask('/only', [['Host', 'admin.example']])).toBe('no-route');
    expect(await ask('/users/me', [['Host', 'shop.example']])).toBe('Me');
    expect(await ask('/users/me', [['Host', 'admin.example']])).toBe('User');
    // It looks like a path of that host's, so it is not taken for one of any host.
    expect(await ask('/users/Me', [['Host', 'shop.example']])).toBe('path-look-alike');
    expect(await ask('/users/Me', [['Host', 'admin.example']])).toBe('User');
  });

  it('takes the host from where the release says that the proxy names it, and from nowhere else', async () => {
    const forwarded = (host: string): [string, string] => ['X-Forwarded-Host', host];
    expect(await ask('/a', [['Host', 'shop.example'], forwarded('admin.example')])).toBe('Shop');
    const both = [['Host', 'shop.example'], forwarded('admin.example')] as const;
    expect(await ask('/a', both, 'forwarded')).toBe('Admin');
    expect(await ask('/a', [['Host', 'shop.example']], 'forwarded')).toBe('request-missing');
    expect(await ask('/a', [forwarded('shop.example'), forwarded('admin.example')], 'forwarded')).toBe(
      'header-repeated',
    );
    // What a chain of proxies makes of it names several.
    expect(await ask('/a', [forwarded('shop.example, admin.example')], 'forwarded')).toBe('host-not-normal');
    expect(
      await ask('/a', [
        ['Host', 'shop.example'],
        ['Host', 'admin.example'],
      ]),
    ).toBe('header-repeated');
  });

  const compile = (text: string): object | undefined =>
    compileAccess([{ file: 'access/a.yaml', bytes: Buffer.from(text) }]);
  const route = (path: string, hosts: string): string =>
    `  - { route: "GET ${path}", ${hosts === '' ? '' : `hosts: [${hosts}], `}action: A, resource: T::x }\n`;
  it.each<[string, string, RegExp]>([
    ['a port', route('/a', 'shop.example:80'), /without a port/],
    ['a dot at its end', route('/a', 'shop.example.'), /dot at its end/],
    ['a pattern', route('/a', '"*.example"'), /must be a host/],
    ['no host', '  - { route: "GET /a", hosts: [], action: A, resource: T::x }\n', /hosts must /],
    [
      'the same path for one host twice',
      route('/a', 'a.example, b.example') + route('/a', 'B.example'),
      /fit the same GET/,
    ],
    ['two that cross', route('/{x}', 'a.example') + route('/a', ''), /neither is the more specific/],
    [
      'two that cross further on',
      route('/u/{x}/b', 'a.example') + route('/u/c/{y}', ''),
      /neither is the more specific/,
    ],
  ])('is refused at build with %s', (_, routes, problem) => {
    expect(() => compile(`routes:\n${routes}`)).toThrow(problem);
  });

  it('is fine beside the same path of another host, or of any', () => {
    const routes = [
      ['/a', 'a.example'],
      ['/a', 'b.example'],
      ['/a', ''],
      ['/u/c', 'a.example'],
      ['/u/{x}', ''],
    ];
    expect(
      compile(`routes:\n${routes.map(([path = '', hosts = '']) => route(path, hosts)).join('')}`),
    ).toBeDefined();
  });

  it('needs every proxy to say which host it asks about', () => {
    const text = `proxies: [{ name: nginx, method: request, uri: path }]\nroutes:\n${route('/a', 'a.example')}`;
    expect(() => compile(text)).toThrow(/a\.yaml:3: "hosts" needs each proxy .* "nginx" has no "host"/);
  });

  it('is tested with the header Host', () => {
    const section = compileAccess([{ file: 'access/a.yaml', bytes: Buffer.from(`${PROXIES}${ROUTES}`) }]);
    const document = parseAccessDocument(section);
    const actions = (host: string): string[] => {
      const text = `requests: [{ name: n, principals: [User::ana], requests: [GET /a], headers: { Host: ${host} }, permit: [] }]\n`;
      return readRequestTests(Buffer.from(text), 'tests/a.yaml', document).map(({ action }) => action);
    };
    expect([actions('shop.example'), actions('other.example')]).toEqual([['Shop'], ['Any']]);
    expect(() => actions('shop.example.')).toThrow(/host-not-normal/);
  });
});

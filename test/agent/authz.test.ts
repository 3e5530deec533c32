import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { hasProgram } from '../support/has-program.ts';
import { type Asked, ana, ask, eve, gone, key, nginx, start } from './authz-machine.ts';
import { untilState } from './sealed-machine.ts';

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;
const canAskAsAnother = isRoot && hasProgram('setpriv') && hasProgram('curl');

describe('/authz', () => {
  it('answers 200, 401 and 403 with a reason and an id, and names no policy', async () => {
    const { server } = await start();
    const at = { socketPath: server.decideSocket };
    const permitted = await ask(at, 'GET', '/authz/nginx', [...nginx('GET', '/documents/1?x=2'), key(ana)]);
    expect(permitted).toMatchObject({
      status: 200,
      headers: {
        'x-sealborn-reason': 'permit',
        'x-sealborn-subject': 'User::"ana"',
        'x-sealborn-decision-id': expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        'cache-control': 'no-store',
      },
    });
    for (const [headers, status, reason] of [
      [[...nginx('DELETE', '/documents/1'), key(ana)], 403, 'no-permit'],
      [[...nginx('GET', '/documents/1'), key(eve)], 403, 'no-permit'],
      [[...nginx('GET', '/documents/1')], 401, 'no-identity'],
      [[...nginx('GET', '/documents/1'), key(gone)], 401, 'api-key-revoked'],
      [[...nginx('GET', '/documents/1'), ['X-API-Key', 'x']], 401, 'credential-unknown'],
      [[...nginx('GET', '/documents/1'), key(ana), key(ana)], 401, 'credential-repeated'],
      [[...nginx('PATCH', '/documents/1'), key(ana)], 403, 'no-route'],
      [[...nginx('GET', '/other'), key(ana)], 403, 'no-route'],
      [[...nginx('GET', '/documents/%2e%2e/1'), key(ana)], 403, 'path-not-normal'],
      [[...nginx('GET', '/Documents/1'), key(ana)], 403, 'path-look-alike'],
      [
        [...nginx('GET', '/documents/1'), key(ana), ['X-Original-URI', '/documents/2']],
        403,
        'header-repeated',
      ],
      [
        [...nginx('GET', '/documents/1'), key(ana), ['X-HTTP-Method-Override', 'DELETE']],
        403,
        'method-override',
      ],
      [
        [...nginx('GET', '/documents/1'), key(ana), ['X-Rewrite-URL', '/documents/2']],
        403,
        'method-override',
      ],
      [[['X-Original-Method', 'GET'], key(ana)], 403, 'request-missing'],
      [
        [['X-Forwarded-Method', 'GET'], ['X-Forwarded-Uri', '/documents/1'], key(ana)],
        403,
        'request-missing',
      ],
      [[...nginx('GET', '/documents/1'), key(ana), ['X-Level', '4']], 403, 'no-permit'],
      [[...nginx('GET', '/documents/1'), key(ana), ['X-Level', '04']], 403, 'header-malformed'],
      [
        [...nginx('GET', '/documents/1'), key(ana), ['X-Level', '9223372036854775808']],
        403,
        'header-malformed',
      ],
      [
        [...nginx('GET', '/documents/1'), key(ana), ['X-Level', '1'], ['X-Level', '1']],
        403,
        'header-repeated',
      ],
      // An application behind CGI, WSGI or Rack can't tell these from what they are written like.
      [[...nginx('GET', '/documents/1'), key(ana), ['X_Level', '1']], 403, 'header-repeated'],
      [[['X_API_Key', ana.key], ...nginx('GET', '/documents/1')], 401, 'credential-repeated'],
      [
        [...nginx('GET', '/documents/1'), key(ana), ['X_HTTP_Method_Override', 'DELETE']],
        403,
        'method-override',
      ],
      [
        [...nginx('GET', '/documents/1'), key(ana), ['X_Sealborn_Subject', 'User::"root"']],
        403,
        'header-repeated',
      ],
    ] as [[string, string][], number, string][]) {
      const answer = await ask(at, 'GET', '/authz/nginx', headers);
      expect([answer.status, answer.headers['x-sealborn-reason']]).toEqual([status, reason]);
      expect(answer.headers['www-authenticate']).toBe(status === 401 ? 'Bearer' : undefined);
      expect(answer.headers).not.toHaveProperty('x-sealborn-subject');
      expect(answer.body).not.toMatch(/policies|documents\.cedar/);
    }
    expect(await ask(at, 'GET', '/authz/other', [...nginx('GET', '/documents/1'), key(ana)])).toMatchObject({
      status: 403,
      headers: { 'x-sealborn-reason': 'proxy-unknown' },
    });
  });

  // https://www.envoyproxy.io/docs: the HTTP service gets the original method, path_prefix + path, Host and
  // Content-Length; Traefik's ForwardAuth and Caddy's forward_auth send GET with X-Forwarded-*.
  it('takes the requests that Envoy, Traefik and Caddy send', async () => {
    const { server } = await start();
    const at = { socketPath: server.decideSocket };
    const envoy = (method: string, path: string): Promise<Asked> =>
      ask(at, method, `/authz/envoy${path}`, [
        ['Content-Length', '0'],
        ['X-Envoy-Internal', 'true'],
        ['X-Forwarded-For', '192.0.2.7'],
        ['X-Envoy-Expected-Rq-Timeout-Ms', '200'],
        ['Authorization', `Bearer ${ana.key}`],
      ]);
    const forwarded = (method: string, uri: string): Promise<Asked> =>
      ask(at, 'GET', '/authz/forward', [
        ['X-Forwarded-Method', method],
        ['X-Forwarded-Proto', 'https'],
        ['X-Forwarded-Host', 'shop.example'],
        ['X-Forwarded-Uri', uri],
        ['X-Forwarded-For', '192.0.2.7'],
        ['Accept-Encoding', 'gzip'],
        ['Authorization', `Bearer ${ana.key}`],
      ]);
    for (const send of [envoy, forwarded]) {
      expect((await send('GET', '/documents/1?page=2')).status).toBe(200);
      expect((await send('HEAD', '/documents/1')).status).toBe(200);
      expect((await send('DELETE', '/documents/1')).status).toBe(403);
      expect((await send('GET', '/documents//1')).status).toBe(403);
      expect((await send('GET', '/documents/..%2f1')).status).toBe(403);
      expect((await send('GET', '')).status).toBe(403);
    }
    const identified = await ask(at, 'GET', '/authz/envoy/documents/1', [key(ana), ['X-Original-URI', '/x']]);
    expect(identified.status).toBe(200); // a header that the proxy's entry does not name says nothing
  });

  it('answers on the loopback listener too, and nothing else there', async () => {
    const { server } = await start('authz: {listen: "127.0.0.1:0"}');
    const at = { port: server.authzPort ?? 0 };
    expect((await ask(at, 'GET', '/authz/nginx', [...nginx('GET', '/documents/1'), key(ana)])).status).toBe(
      200,
    );
    expect((await ask(at, 'GET', '/status', [])).status).toBe(404);
    expect((await ask(at, 'POST', '/access/v1/evaluation', [])).status).toBe(404);
  });

  it.skipIf(!canAskAsAnother)('knows a process by its user, and another by nothing', async () => {
    const { machine, server } = await start();
    await chmod(machine.directory, 0o755);
    await chmod(server.decideSocket, 0o666);
    const asUser = async (uid: string): Promise<string> => {
      const curl = ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code} %header{x-sealborn-reason}'];
      const to = ['--unix-socket', server.decideSocket, 'http://x/authz/envoy/documents/1'];
      const { stdout } = await run('setpriv', [
        '--reuid',
        uid,
        '--regid',
        uid,
        '--clear-groups',
        ...curl,
        ...to,
      ]);
      return stdout;
    };
    expect(await asUser('1001')).toBe('403 no-permit');
    expect(await asUser('1002')).toBe('401 no-identity');
  });

  it('answers 503 to all while the machine is not trusted', async () => {
    const { machine, server } = await start();
    await machine.tamper();
    await untilState(server.decideSocket, 'drifted');
    const at = { socketPath: server.decideSocket };
    for (const headers of [[...nginx('GET', '/documents/1'), key(ana)], nginx('GET', '/x'), []]) {
      const answer = await ask(at, 'GET', '/authz/nginx', headers);
      expect([answer.status, answer.headers['x-sealborn-reason']]).toEqual([503, 'not-trusted']);
    }
  });
});

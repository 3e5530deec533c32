import { createHash } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { html } from '../../src/collector/pages/html.ts';
import { ago, duration } from '../../src/collector/pages/times.ts';
import { DRIFTED, RELEASE, TRUSTED, testHost } from '../attestation/hosts.ts';
import { NOON, testCollector } from './collector-fixture.ts';

/** What a reader sees: tags gone, entities decoded, spaces one. */
function seen(page: string): string {
  return page
    .replaceAll(/<(style|script)>.*?<\/\1>/gs, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ');
}

const NASTY = `<script>alert(1)</script><img src=x onerror=alert(1)>"'&\u202e\u001b[31m`;

describe('html', () => {
  test('property: what is put in opens no tag, closes no attribute and moves no cursor', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { text: out } = html`<p title="${text}">${[text, html`<b>${text}</b>`]}</p>`;
        expect(out.match(/<[^>]*>/g)).toHaveLength(4);
        expect(out.match(/"/g)).toHaveLength(2);
        expect(out).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      }),
    );
  });

  test('leaves a path that is escaped already as it is', () => {
    expect(html`${'/a\\nb'}`.text).toBe('/a\\nb');
    expect(html`${'/a\nb'}`.text).toBe('/a\\nb');
  });

  test('leaves out what is not there', () => {
    expect(html`<p>${false}${null}${undefined}${0}${[]}</p>`.text).toBe('<p>0</p>');
  });
});

describe('duration and ago', () => {
  test.each([
    [0, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [7_199_000, '1 h'],
    [86_400_000 * 3, '3 d'],
    [-5000, '0 s'],
  ])('%d ms is %s', (milliseconds, words) => {
    expect(duration(milliseconds)).toBe(words);
  });

  test('says both how long ago and when, with the date only where it is another day', () => {
    expect(seen(ago(NOON - 180_000, NOON).text)).toContain('3 min ago 11:57:00 UTC');
    expect(seen(ago(NOON - 86_400_000, NOON).text)).toContain('1 d ago 2026-11-22 12:00:00 UTC');
    expect(seen(ago(NOON, NOON).text)).toContain('just now');
  });
});

describe('GET /', () => {
  test('without a host, says how to point an agent here', async () => {
    const { page } = await testCollector({ intervalSeconds: 30 });
    const text = seen(await page('/'));
    expect(text).toContain('No host has reported yet');
    expect(text).toContain('collector: url: http://collector.example');
    expect(text).toContain('within 30 seconds');
  });

  test('shows what is wrong first: where, since when, what changed', async () => {
    const { page, put } = await testCollector();
    const good = testHost('web-1', { labels: { role: 'web' } });
    const bad = testHost('web-2');
    for (const { body, digest } of [good.next(), bad.next({ verdict: DRIFTED })]) await put(body, digest);
    const text = seen(await page('/'));
    expect(text).toContain('1 host needs attention');
    expect(text.indexOf('web-2')).toBeLessThan(text.indexOf('web-1'));
    for (const words of [
      'drifted web-2',
      'payments 1.4.0 #7 · aaaaaaaaaa',
      'production',
      '1 difference from the signed release.',
      'modified /usr/bin/ssh',
      'signed sha256=11 found sha256=22',
      bad.id.slice(0, 12),
      'software',
      'role=web',
    ]) {
      expect(text).toContain(words);
    }
    expect(await page('/')).toMatch(/<title>1 host needs attention/);
  });

  test('a host that is not heard for three intervals is silent, and says what it said last', async () => {
    const { page, put, clock } = await testCollector();
    const { body, digest } = testHost('web-1').next();
    await put(body, digest);
    expect(seen(await page('/'))).toContain('The one host is trusted');
    clock.now += 200_000;
    const text = seen(await page('/'));
    expect(text).toContain('silent web-1');
    expect(text).toContain('last heard 3 min ago 12:00:00 UTC');
    expect(text).toContain('Its last word was trusted .');
  });

  test('says why a host refused its release', async () => {
    const { page, put } = await testCollector();
    const { release: _, ...verdict } = TRUSTED;
    const reason = { code: 'threshold-not-met', message: 'signed by 1 of 2' };
    const { body, digest } = testHost('web-1').next({ verdict: { ...verdict, state: 'refused', reason } });
    await put(body, digest);
    const text = seen(await page('/'));
    expect(text).toContain('refused web-1');
    expect(text).toContain('signed by 1 of 2 (threshold-not-met)');
    expect(text).toContain('no verified release');
  });

  test('finds hosts by state, name, label and release', async () => {
    const { page, put } = await testCollector();
    const hosts = [
      testHost('web-1', { labels: { zone: 'north' } }).next(),
      testHost('db-1').next({ verdict: DRIFTED }),
    ];
    for (const { body, digest } of hosts) await put(body, digest);
    const names = async (query: string): Promise<string[]> =>
      [...seen(await page(`/?${query}`)).matchAll(/(?:web|db)-1/g)].map(([name]) => name);
    expect(await names('state=drifted')).toEqual(['db-1']);
    expect(await names('q=WEB')).toEqual(['web-1']);
    expect(await names('q=zone%3Dnorth')).toEqual(['web-1']);
    expect(await names(`release=${RELEASE.digest}`)).toEqual(['db-1', 'web-1']);
    expect(await names('release=')).toEqual([]);
    expect(await names('state=nonsense')).toEqual(['db-1', 'web-1']);
    expect(await page(`/?q=${encodeURIComponent(NASTY)}`)).not.toMatch(/<img|<script>alert/);
  });

  test('a page of a thousand hosts is cut where all is well, and says so', async () => {
    const { page, put, store } = await testCollector();
    const { body, digest } = testHost('web').next();
    await put(body, digest);
    const row = store.hosts()[0]!;
    const report = store.reports(row.id)[0]!;
    store.transaction(() => {
      for (let n = 0; n < 999; n += 1) {
        const id = n.toString(16).padStart(64, '0') as typeof row.id;
        store.keep({ ...row, id }, { ...report, digest: id }, body);
      }
    });
    expect(seen(await page('/'))).toContain('500 more hosts not shown here');
  });
});

describe('what a host writes', () => {
  test('is shown, escaped, on every page, and runs nowhere', async () => {
    const { page, put, get } = await testCollector();
    const finding = { ...DRIFTED.drift[0]!, path: NASTY, expected: NASTY, actual: NASTY };
    const host = testHost('', {
      facts: { hostname: NASTY, [`f${NASTY}`.slice(0, 64)]: NASTY },
      labels: { '<b>': NASTY },
    });
    const release = { ...RELEASE, name: NASTY, version: NASTY, environment: NASTY, commit: NASTY };
    const verdict = { ...DRIFTED, release, drift: [finding], reason: { code: NASTY, message: NASTY } };
    const { body, digest } = host.next({ verdict });
    expect((await put(body, digest)).status).toBe(201);
    const fork = host.other({ seq: 1, previous: null });
    await put(fork.body, fork.digest);
    for (const path of ['/', `/hosts/${host.id}`]) {
      const text = await page(path);
      expect(text).not.toMatch(/<img|<script>alert|<b>=|\u202e|\u001b/);
      expect(text.match(/<script/g)).toHaveLength(1);
      expect(seen(text)).toContain(
        '<script>alert(1)</script><img src=x onerror=alert(1)>"\'&\\u202e\\x1b[31m',
      );
    }
    const json = await get('/v1/hosts');
    expect(json.headers.get('content-type')).toContain('application/json');
    expect(json.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('could not run even if it got through: the policy allows the one script and style by their hashes', async () => {
    const { get } = await testCollector();
    const response = await get('/');
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    const text = await response.text();
    for (const name of ['style', 'script'] as const) {
      const blocks = [...text.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))];
      expect(blocks).toHaveLength(1);
      const hash = createHash('sha256').update(blocks[0]![1]!).digest('base64');
      expect(policy).toContain(`${name}-src 'sha256-${hash}'`);
    }
    expect(text).not.toMatch(/ style="| on[a-z]+="/);
  });
});

describe('GET / and the flags of a host', () => {
  test('a trusted host whose reports are missing is told from one that is well, for a day', async () => {
    const { get, page, put, clock } = await testCollector();
    const [well, gap] = [testHost('well'), testHost('lossy')];
    const send = async ({ body, digest }: { body: Buffer; digest: string }): Promise<void> => {
      expect((await put(body, digest)).status).toBe(201);
    };
    await send(well.next());
    await send(gap.next());
    gap.next();
    await send(gap.next());
    const text = seen(await page('/'));
    expect(text.match(/reports missing/g)).toHaveLength(1);
    expect(text.indexOf('reports missing')).toBeLessThan(text.indexOf('well'));
    const flagged = async (): Promise<unknown> => {
      const { hosts } = (await (await get('/v1/hosts')).json()) as { hosts: { flagged: string[] }[] };
      return hosts.map((host) => host.flagged);
    };
    expect(await flagged()).toEqual([['gap'], []]);
    clock.now += 24 * 3_600_000 + 1;
    await send(gap.next());
    expect((await flagged()) as string[][]).toContainEqual([]);
    expect(seen(await page('/'))).not.toContain('reports missing');
  });
});

describe('GET /hosts/<id>', () => {
  test('shows all findings, the flags and how the host came to where it is', async () => {
    const { page, put, clock } = await testCollector();
    const host = testHost('web-1', { facts: { hostname: 'web-1', kernel: '6.1.0' } });
    const send = async (report: { body: Buffer; digest: string }): Promise<void> => {
      await put(report.body, report.digest);
      clock.now += 60_000;
    };
    for (let n = 0; n < 5; n += 1) await send(host.next());
    host.next();
    const drift = Array.from({ length: 60 }, (_, n) => ({
      ...DRIFTED.drift[0]!,
      path: `/usr/bin/tool-${n}`,
    }));
    await send(host.next({ verdict: { ...DRIFTED, drift, driftTotal: 600 } }));
    await send(host.other({ seq: 2, previous: host.id }));
    const text = seen(await page(`/hosts/${host.id}`));
    for (const words of [
      'web-1 forked',
      'What it says last: drifted .',
      'Fork: refused',
      'another report with the number 2, validly signed',
      'Reports missing',
      '/usr/bin/tool-59',
      '540 more findings',
      'kernel 6.1.0',
      '1 before it missing',
      '1 –5',
    ]) {
      expect(text).toContain(words);
    }
    expect(text.indexOf('drifted', text.indexOf('History'))).toBeLessThan(
      text.indexOf('trusted', text.indexOf('History')),
    );
  });

  test("shows what backs each mount, what fs-verity vouches for, and the digest of IMA's list", async () => {
    const { page, put } = await testCollector();
    const host = testHost('web-1');
    const digest = 'd1'.repeat(32);
    const root = { path: '/', type: 'erofs', device: '253:0', options: ['ro', 'nodev'] };
    const claimedRootHash = 'ab'.repeat(32);
    const coverage = {
      mounts: {
        view: 'init' as const,
        total: 2,
        shown: [
          { ...root, backing: 'dm-verity' as const, claimedRootHash },
          { ...root, path: '/srv', type: 'ext4', options: ['rw'], backing: 'writable' as const },
        ],
      },
      fsVerity: { recorded: 1200, vouched: 1199 },
      ima: { at: '2026-11-23T11:59:00.000Z', bytes: 52_000, digest, whole: true },
    };
    const report = host.next({ verdict: { ...TRUSTED, coverage } });
    await put(report.body, report.digest);
    const text = seen(await page(`/hosts/${host.id}`));
    expect(text).toContain(
      `/ erofs ro,nodev: dm-verity (root hash ${claimedRootHash.slice(0, 16)}… claimed)`,
    );
    expect(text).toContain('/srv ext4 rw: writable');
    expect(text).toContain('fs-verity 1,199 of 1,200 files vouched for by the kernel');
    expect(text).toContain(`IMA list 52,000 bytes at 11:59:00 UTC, sha256 ${digest}`);
  });

  test("says that only the first part of IMA's list is in its digest, where it is long", async () => {
    const { page, put } = await testCollector();
    const host = testHost('web-1');
    const ima = { at: '2026-11-23T11:59:00.000Z', bytes: 16_777_216, digest: 'd1'.repeat(32), whole: false };
    const report = host.next({ verdict: { ...TRUSTED, coverage: { ima } } });
    await put(report.body, report.digest);
    expect(seen(await page(`/hosts/${host.id}`))).toContain('the first 16,777,216 bytes at 11:59:00 UTC');
  });

  test('another id, or no id, is 404', async () => {
    const { get } = await testCollector();
    for (const path of [`/hosts/${'0'.repeat(64)}`, '/hosts/x', '/nowhere']) {
      const response = await get(path);
      expect([response.status, response.headers.get('content-type')]).toEqual([
        404,
        'text/html; charset=utf-8',
      ]);
    }
    for (const path of [`/v1/hosts/${'0'.repeat(64)}`, '/v1/reports/x', '/v1/nowhere']) {
      const response = await get(path);
      expect([response.status, await response.json()]).toMatchObject([404, { error: { code: 'not-found' } }]);
    }
  });
});

describe('the JSON and the metrics', () => {
  test('GET /v1/hosts and /v1/hosts/<id> say what the pages say', async () => {
    const { get, put } = await testCollector();
    const host = testHost('web-1');
    const { body, digest } = host.next({ verdict: DRIFTED });
    await put(body, digest);
    expect(await (await get('/v1/hosts')).json()).toMatchObject({
      at: '2026-11-23T12:00:00.000Z',
      intervalSeconds: 60,
      counts: { drifted: 1, trusted: 0 },
      releases: [{ release: RELEASE, total: 1 }],
      hosts: [
        { id: host.id, state: 'drifted', facts: { hostname: 'web-1' }, verdict: DRIFTED, lastReport: digest },
      ],
    });
    expect(await (await get(`/v1/hosts/${host.id}`)).json()).toMatchObject({
      id: host.id,
      verdict: DRIFTED,
      flags: [],
      reports: [{ seq: 1, digest, receivedAt: '2026-11-23T12:00:00.000Z', state: 'drifted' }],
    });
  });

  test('GET /metrics counts hosts by state, reports and refusals; /healthz answers', async () => {
    const { get, put } = await testCollector();
    const { body, digest } = testHost().next();
    await put(body, digest);
    await put(body, digest);
    await put(Buffer.from('x'), digest);
    const text = await (await get('/metrics')).text();
    for (const line of [
      'sealborn_collector_hosts{state="trusted"} 1',
      'sealborn_collector_hosts{state="silent"} 0',
      'sealborn_collector_reports_total{result="new"} 1',
      'sealborn_collector_reports_total{result="repeated"} 1',
      'sealborn_collector_refused_total{code="digest-mismatch"} 1',
      'sealborn_collector_database_errors_total 0',
      'sealborn_collector_reports_in_flight 0',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect((await get('/healthz')).status).toBe(200);
  });

  test('a database that fails is a 503 that can be tried again, never an acknowledgement', async () => {
    const { get, put, store } = await testCollector();
    const { body, digest } = testHost().next();
    store.close();
    const { status, answer, headers } = await put(body, digest);
    expect([status, answer.error?.code]).toEqual([503, 'database-failed']);
    expect(headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await get('/healthz')).status).toBe(503);
    expect((await get('/')).status).toBe(503);
    expect((await get('/v1/hosts')).status).toBe(503);
  });
});

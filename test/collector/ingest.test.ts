import { describe, expect, test } from 'vitest';

import { MAX_REPORT_BYTES } from '../../src/attestation/report.ts';
import { sha256 } from '../../src/base/digest.ts';
import { isFresh } from '../../src/collector/ingest.ts';
import { DRIFTED, type Fields, newKey, testHost } from '../attestation/hosts.ts';
import { testCollector } from './collector-fixture.ts';

/** The same report with one character of its signature exchanged, whichever it was. */
function withOtherSignature(body: Buffer): Buffer {
  const exchanged = body
    .toString()
    .replace(/"sig": "(.)/, (_, first) => `"sig": "${first === 'A' ? 'B' : 'A'}`);
  return Buffer.from(exchanged);
}

describe('PUT /v1/reports/<digest>', () => {
  test('keeps a report and answers a nonce and when to report next', async () => {
    const { put, store, get } = await testCollector({ intervalSeconds: 30 });
    const host = testHost();
    const { body, digest } = host.next();
    const { status, answer } = await put(body, digest);
    expect([status, answer]).toEqual([201, { nonce: 'nonce-1', nextReportSeconds: 30 }]);
    expect(store.host(host.id)).toMatchObject({ last: { seq: 1, digest }, nonce: 'nonce-1', fresh: false });
    const kept = await get(`/v1/reports/${digest}`);
    expect(Buffer.from(await kept.arrayBuffer()).equals(body)).toBe(true);
  });

  test('the same bytes again are 200 with the same answer, and change nothing', async () => {
    const { put, store } = await testCollector();
    const host = testHost();
    const first = host.next();
    const second = host.next({ verdict: DRIFTED });
    await put(first.body, first.digest);
    await put(second.body, second.digest);
    const before = [store.host(host.id), store.reports(host.id), store.flags(host.id)];
    for (const { body, digest } of [second, first, second]) {
      const { status, answer } = await put(body, digest);
      expect([status, answer.nonce]).toEqual([200, 'nonce-2']);
    }
    expect([store.host(host.id), store.reports(host.id), store.flags(host.id)]).toEqual(before);
  });

  test('a gap is accepted and flagged', async () => {
    const { put, store } = await testCollector();
    const host = testHost();
    const first = host.next();
    host.next();
    host.next();
    const fourth = host.next({ spool: { dropped: 2 } });
    await put(first.body, first.digest);
    expect((await put(fourth.body, fourth.digest)).status).toBe(201);
    expect(store.reports(host.id).map(({ seq, missed, turn }) => [seq, missed, turn])).toEqual([
      [4, 2, true],
      [1, 0, true],
    ]);
    expect(store.flags(host.id)).toMatchObject([
      { kind: 'gap', seq: 4, detail: '2 before report 4 never came; the host says that it dropped 2 so far' },
    ]);
  });

  test('a decision log that grows is fine; one with fewer lines, or another line of a number, is flagged', async () => {
    const { put, store, page } = await testCollector();
    const host = testHost();
    const say = async (seq: number | undefined, line: string, more: Fields = {}): Promise<string[]> => {
      const decisionLog = seq === undefined ? {} : { decisionLog: { seq, head: sha256(line) } };
      const { body, digest } = host.next({ ...decisionLog, ...more });
      expect((await put(body, digest)).status).toBe(201);
      return store.flags(host.id).map(({ detail }) => detail);
    };
    expect(await say(10, 'a')).toEqual([]);
    expect(await say(10, 'a')).toEqual([]);
    expect(await say(12, 'b')).toEqual([]);
    expect(await say(undefined, '')).toEqual([]);
    const shrunk = 'the decision log had 12 lines and now has 11';
    expect(await say(11, 'c')).toEqual([shrunk]);
    expect(await page(`/hosts/${host.id}`)).toContain('Decision log went back');
    expect(await say(13, 'd')).toEqual([shrunk]);
    expect(await say(13, 'e')).toContain('line 13 of the decision log is another one than before');
    expect(await say(1, 'f', { bootId: '0b0b0b0b-0000-4000-8000-000000000002' })).toContain(
      'the decision log had 13 lines and now has 1, after a reboot: is its directory kept?',
    );
    expect(store.flags(host.id).every(({ kind }) => kind === 'log')).toBe(true);
    expect(store.flags(host.id)).toHaveLength(3);
  });

  test('a fork is refused with 409, flagged once for each report, and never becomes the last', async () => {
    const { put, store, clock } = await testCollector();
    const host = testHost();
    const first = host.next();
    await put(first.body, first.digest);
    const reused = host.other({ seq: 1, previous: null, verdict: DRIFTED });
    const skewed = host.other({ previous: sha256('another history') });
    for (const fork of [reused, skewed, reused]) {
      clock.now += 1000;
      const { status, answer } = await put(fork.body, fork.digest);
      expect([status, answer.error?.code]).toEqual([409, 'report-fork']);
    }
    expect(store.host(host.id)).toMatchObject({ last: { digest: first.digest }, forkedAt: clock.now });
    expect(store.flags(host.id)).toMatchObject([
      { kind: 'fork', ref: reused.digest, seq: 1, count: 2 },
      { kind: 'fork', ref: skewed.digest, seq: 2, count: 1 },
    ]);
    const second = host.next();
    expect((await put(second.body, second.digest)).status).toBe(201);
  });

  test('a report older than what is kept is refused, and not taken for a fork', async () => {
    const { put, store } = await testCollector();
    const host = testHost();
    const first = host.next();
    host.next();
    const third = host.next();
    await put(third.body, third.digest);
    const { status, answer } = await put(first.body, first.digest);
    expect([status, answer.error?.code]).toEqual([409, 'report-stale']);
    expect(store.flags(host.id)).toEqual([]);
  });

  test('refuses a path that is not the digest of the body', async () => {
    const { put, store } = await testCollector();
    const { body, digest } = testHost().next();
    expect(await put(body, sha256('other'))).toMatchObject({
      status: 400,
      answer: { error: { code: 'digest-mismatch' } },
    });
    for (const path of ['x', digest.toUpperCase(), digest.slice(1)]) {
      expect(await put(body, path)).toMatchObject({
        status: 400,
        answer: { error: { code: 'path-invalid' } },
      });
    }
    expect(store.countHosts()).toBe(0);
  });

  test('refuses what is malformed, too large, or signed by another key, each with its code', async () => {
    const { put, store } = await testCollector();
    const { body } = testHost().next();
    const cut = body.subarray(0, body.length - 2);
    const changed = withOtherSignature(body);
    const huge = Buffer.alloc(MAX_REPORT_BYTES + 1, 0x20);
    const cases = [
      [Buffer.from('hello'), 400, 'envelope-malformed'],
      [Buffer.alloc(0), 400, 'envelope-malformed'],
      [cut, 400, 'envelope-malformed'],
      [changed, 400, 'signature-invalid'],
      [huge, 413, 'body-too-large'],
    ] as const;
    for (const [bytes, status, code] of cases) {
      expect(await put(bytes, sha256(bytes))).toMatchObject({ status, answer: { error: { code } } });
    }
    expect(store.countHosts()).toBe(0);
  });

  test('a bad report under the name of a known host is flagged there, at most once a minute, and changes nothing else', async () => {
    const { put, store, clock, get } = await testCollector();
    const host = testHost();
    const good = host.next();
    await put(good.body, good.digest);
    const before = store.host(host.id);
    const forged = withOtherSignature(host.next().body);
    for (let n = 0; n < 5; n += 1) await put(forged, sha256(forged));
    clock.now += 61_000;
    await put(forged, sha256(forged));
    expect(store.flags(host.id)).toMatchObject([{ kind: 'key', count: 2, lastAt: clock.now }]);
    expect(store.host(host.id)).toEqual(before);
    const metrics = await (await get('/metrics')).text();
    expect(metrics).toContain('sealborn_collector_refused_total{code="signature-invalid"} 6');
  });

  test('takes in no more hosts than it may, and still hears those it knows', async () => {
    const { put } = await testCollector({ maxHosts: 2 });
    const [a, b, c] = [testHost('a'), testHost('b'), testHost('c')];
    for (const host of [a, b]) {
      const { body, digest } = host.next();
      expect((await put(body, digest)).status).toBe(201);
    }
    const third = c.next();
    const refused = await put(third.body, third.digest);
    expect(refused).toMatchObject({ status: 503, answer: { error: { code: 'hosts-full' } } });
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    const again = a.next();
    expect((await put(again.body, again.digest)).status).toBe(201);
  });

  test('two hosts with one name are two hosts', async () => {
    const { put, store } = await testCollector();
    for (const host of [testHost('web'), testHost('web', {}, newKey())]) {
      const { body, digest } = host.next();
      await put(body, digest);
    }
    expect(store.hosts()).toHaveLength(2);
  });

  test('a report with the last nonce is fresh; one from a spool, or from before the last answer, is not', async () => {
    const { put, store, clock } = await testCollector({ intervalSeconds: 60 });
    const host = testHost();
    const send = async (nonce: string | null): Promise<boolean | undefined> => {
      const { body, digest } = host.next({ nonce });
      await put(body, digest);
      return store.host(host.id)?.fresh;
    };
    expect(await send(null)).toBe(false);
    expect(await send('nonce-1')).toBe(true);
    expect(await send('nonce-1')).toBe(false);
    clock.now += 180_000;
    expect(await send('nonce-3')).toBe(true);
    clock.now += 180_001;
    expect(await send('nonce-4')).toBe(false);
  });
});

describe('isFresh', () => {
  test('a host that is not known proves nothing', () => {
    expect(isFresh('n', undefined, 0, 60)).toBe(false);
    expect(isFresh(null, { nonce: 'n', nonceAt: 0 }, 0, 60)).toBe(false);
  });
});

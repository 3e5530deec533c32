import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { DatabaseSync } from 'node:sqlite';

import { describe, expect, onTestFinished, test } from 'vitest';

import { sha256 } from '../../src/base/digest.ts';
import { openStore } from '../../src/collector/open-store.ts';
import type { HostRow, ReportRow } from '../../src/collector/rows.ts';
import { KEPT_BYTES, KEPT_FLAGS, KEPT_REPORTS, type Store } from '../../src/collector/store.ts';
import { summarize } from '../../src/collector/summary.ts';
import { verifyReport } from '../../src/attestation/report.ts';
import { testHost } from '../attestation/hosts.ts';
import { NOON, temporaryDirectory } from './collector-fixture.ts';

const HOST = sha256('host');
const summary = summarize(verifyReport(testHost().next().body));

function keep(
  store: Store,
  seq: number,
  options: { turn?: boolean; bytes?: number; id?: HostRow['id'] } = {},
): void {
  const { turn = false, bytes = 10, id = HOST } = options;
  const digest = sha256(`${id} ${seq}`);
  const report: ReportRow = {
    seq,
    digest,
    receivedAt: NOON + seq,
    createdAt: '2026-11-23T12:00:00Z',
    fresh: true,
    missed: 0,
    turn,
    state: 'trusted',
    driftTotal: 0,
    release: undefined,
    bootId: 'b',
    bytes,
  };
  const host = {
    id,
    lastSeen: NOON + seq,
    last: { seq, digest },
    nonce: 'n',
    nonceAt: NOON,
    fresh: true,
    summary,
  };
  store.transaction(() => store.keep(host, report, Buffer.alloc(bytes)));
}

async function newStore(): Promise<{ store: Store; path: string }> {
  const path = join(await temporaryDirectory(), 'fleet.db');
  const store = await openStore(path);
  onTestFinished(() => store.close());
  return { store, path };
}

describe('openStore', () => {
  test('makes a file that only its user reads', async () => {
    const { path } = await newStore();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('what was kept is there when it is opened again', async () => {
    const path = join(await temporaryDirectory(), 'fleet.db');
    const before = await openStore(path);
    keep(before, 1);
    const row = before.host(HOST);
    before.close();
    const after = await openStore(path);
    onTestFinished(() => after.close());
    expect(after.host(HOST)).toEqual(row);
    expect(after.reports(HOST)).toHaveLength(1);
  });

  test('refuses a database that is open already, in this process or in another', async () => {
    const { path } = await newStore();
    await expect(openStore(path)).rejects.toMatchObject({ code: 'database-in-use' });
    const module = join(import.meta.dirname, '../../src/collector/open-store.ts');
    const script = `import { openStore } from ${JSON.stringify(module)};
      try { await openStore(${JSON.stringify(path)}); console.log('opened'); } catch (e) { console.log(e.code); }`;
    const child = spawn(execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
    await once(child, 'close');
    expect(said.trim()).toBe('database-in-use');
  });

  test('refuses a file that is not its own, and leaves it as it is', async () => {
    const directory = await temporaryDirectory();
    const text = join(directory, 'text.db');
    await writeFile(text, 'x'.repeat(5000));
    await expect(openStore(text)).rejects.toMatchObject({ code: 'database-foreign' });
    const other = join(directory, 'other.db');
    const db = new DatabaseSync(other);
    db.exec('CREATE TABLE theirs (a)');
    db.close();
    await expect(openStore(other)).rejects.toMatchObject({ code: 'database-foreign' });
    const newer = join(directory, 'newer.db');
    (await openStore(newer)).close();
    const raised = new DatabaseSync(newer);
    raised.exec('PRAGMA user_version = 99');
    raised.close();
    await expect(openStore(newer)).rejects.toMatchObject({ code: 'database-newer' });
    await expect(openStore(join(directory, 'none', 'a.db'))).rejects.toMatchObject({
      code: 'database-unavailable',
    });
    await expect(openStore(directory)).rejects.toMatchObject({ code: 'database-unavailable' });
  });
});

describe('Store', () => {
  test('keeps the newest turns and the newest others of each host', async () => {
    const { store } = await newStore();
    const last = KEPT_REPORTS + 100;
    keep(store, 1, { turn: true });
    for (let seq = 2; seq <= last; seq += 1) keep(store, seq);
    expect(store.reports(HOST)).toHaveLength(KEPT_REPORTS + 1);
    expect(store.reports(HOST).at(-1)).toMatchObject({ seq: 1, turn: true });
    expect(store.reports(HOST).at(-2)).toMatchObject({ seq: last - KEPT_REPORTS + 1 });
    for (let seq = last + 1; seq <= last + KEPT_REPORTS; seq += 1) keep(store, seq, { turn: true });
    expect(store.reports(HOST)).toHaveLength(2 * KEPT_REPORTS);
    expect(store.reports(HOST).some(({ seq }) => seq === 1)).toBe(false);
    expect(store.digestAt(HOST, last)).toBe(sha256(`${HOST} ${last}`));
    expect(store.digestAt(HOST, 1)).toBeUndefined();
  });

  test('keeps no more bytes of a host than its bound, and always the last report', async () => {
    const { store } = await newStore();
    const bytes = 1024 * 1024;
    const fit = KEPT_BYTES / bytes;
    for (let seq = 1; seq <= fit + 3; seq += 1) keep(store, seq, { bytes, turn: seq % 2 === 0 });
    expect(store.reports(HOST).map(({ seq }) => seq)).toEqual(
      Array.from({ length: fit }, (_, index) => fit + 3 - index),
    );
  });

  test('keeps the newest flags of each kind, so that gaps do not push out a fork', async () => {
    const { store } = await newStore();
    keep(store, 1);
    store.flag(HOST, { kind: 'fork', ref: 'f', seq: 1, detail: '' }, NOON);
    for (let n = 0; n < KEPT_FLAGS + 10; n += 1) {
      store.flag(HOST, { kind: 'gap', ref: String(n), seq: n, detail: '' }, NOON + n);
    }
    const flags = store.flags(HOST);
    expect(flags.filter(({ kind }) => kind === 'gap')).toHaveLength(KEPT_FLAGS);
    expect(flags.at(-1)).toMatchObject({ kind: 'fork' });
    expect(store.host(HOST)?.forkedAt).toBe(NOON);
  });

  test('forgets a host whole', async () => {
    const { store } = await newStore();
    const other = sha256('other');
    keep(store, 1);
    keep(store, 5, { id: other });
    store.flag(HOST, { kind: 'fork', ref: 'f', seq: 1, detail: '' }, NOON);
    expect(store.forget(NOON + 5)).toBe(1);
    expect([store.host(HOST), store.reports(HOST), store.flags(HOST)]).toEqual([undefined, [], []]);
    expect(store.hosts().map(({ id }) => id)).toEqual([other]);
  });

  test('a transaction that throws leaves nothing behind, and the next one works', async () => {
    const { store } = await newStore();
    keep(store, 1);
    expect(() =>
      store.transaction(() => {
        store.flag(HOST, { kind: 'gap', ref: '1', seq: 1, detail: '' }, NOON);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(store.flags(HOST)).toEqual([]);
    keep(store, 2);
    expect(store.reports(HOST)).toHaveLength(2);
  });

  test('what a host writes is only ever a value', async () => {
    const { store } = await newStore();
    keep(store, 1);
    const nasty = `'); DROP TABLE reports; --\u0000"`;
    store.flag(HOST, { kind: 'gap', ref: nasty, seq: 1, detail: nasty }, NOON);
    expect(store.flags(HOST)).toMatchObject([{ ref: nasty, detail: nasty }]);
    expect(store.reports(HOST)).toHaveLength(1);
  });
});

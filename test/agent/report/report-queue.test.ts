import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { loadHostKey } from '../../../src/agent/report/host-key.ts';
import { type ReportQueue, openReportQueue } from '../../../src/agent/report/report-queue.ts';
import { sha256 } from '../../../src/base/digest.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const host = sha256('host');

function body(seq: number, size = 10): Buffer {
  return Buffer.from(`${seq}`.padEnd(size, '.'));
}

async function sent(queue: ReportQueue): Promise<string[]> {
  const out: string[] = [];
  for (let next = await queue.next(); next !== undefined; next = await queue.next()) {
    out.push(`${next.report.seq} ${next.report.kind} ${next.body.toString().replace(/\.*$/, '')}`);
    await queue.delivered(next.report);
  }
  return out;
}

describe('openReportQueue', () => {
  it('gives reports back in order and forgets the delivered', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host);
    expect(queue.last()).toBeUndefined();
    await queue.add('start', 1, body(1));
    await queue.add('change', 2, body(2));
    expect(queue.waiting()).toBe(2);
    expect(queue.last()).toEqual({ seq: 2, digest: sha256(body(2)) });
    expect(await sent(queue)).toEqual(['1 start 1', '2 change 2']);
    expect(await readdir(join(directory, 'spool'))).toEqual([]);
  });

  it('goes on with the chain and the waiting reports after a restart', async () => {
    const directory = await temporaryDirectory();
    const first = await openReportQueue(directory, host);
    for (const seq of [1, 2, 3]) await first.add('interval', seq, body(seq));
    const one = await first.next();
    await first.delivered(one!.report);
    const second = await openReportQueue(directory, host);
    expect(second.last()).toEqual({ seq: 3, digest: sha256(body(3)) });
    expect(await sent(second)).toEqual(['2 interval 2', '3 interval 3']);
    expect((await openReportQueue(directory, host)).last()?.seq).toBe(3);
  });

  it('sets aside a report that can not be read, so that it does not hold up the others', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host);
    await queue.add('change', 1, body(1));
    await queue.add('change', 2, body(2));
    const [first] = (await readdir(join(directory, 'spool'))).sort();
    await rm(join(directory, 'spool', first!));
    await mkdir(join(directory, 'spool', first!)); // reading it fails, whoever tries
    await expect(queue.next()).rejects.toThrow();
    await expect(queue.next()).rejects.toThrow();
    expect((await queue.next())?.report.seq).toBe(2);
    expect(await readdir(join(directory, 'refused'))).toEqual([first]);
  });

  it('goes on with the newest report where a crash came before chain.json', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host);
    await queue.add('start', 1, body(1));
    const chain = await readFile(join(directory, 'chain.json'));
    await queue.add('change', 2, body(2));
    await writeFile(join(directory, 'chain.json'), chain);
    await writeFile(join(directory, 'spool', '.000000000003-change.json.abc.tmp'), 'half a rep');
    const after = await openReportQueue(directory, host);
    expect(after.last()).toEqual({ seq: 2, digest: sha256(body(2)) });
    expect(await sent(after)).toEqual(['1 start 1', '2 change 2']);
    expect(await readdir(join(directory, 'spool'))).toEqual([]);
  });

  it('never hands out a report whose number is not on disk yet', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host);
    await queue.add('start', 1, body(1));
    await rm(join(directory, 'chain.json'));
    await import('node:fs/promises').then((fs) => fs.mkdir(join(directory, 'chain.json')));
    await expect(queue.add('change', 2, body(2))).rejects.toThrow(/chain\.json/);
    expect(await sent(queue)).toEqual(['1 start 1']);
    await rm(join(directory, 'chain.json'), { recursive: true });
    expect(queue.last()?.seq).toBe(2);
    await queue.add('change', 3, body(3));
    expect(await sent(queue)).toEqual(['2 change 2', '3 change 3']);
  });

  it('drops reports of an interval first, oldest first, and counts them over restarts', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host, { maxReports: 4, maxBytes: 1e6 });
    const kinds = ['start', 'interval', 'change', 'interval', 'interval', 'change', 'change'] as const;
    for (const [index, kind] of kinds.entries()) await queue.add(kind, index + 1, body(index + 1));
    expect([queue.dropped(), queue.waiting()]).toEqual([3, 4]);
    expect((await openReportQueue(directory, host)).dropped()).toBe(3);
    expect(await sent(queue)).toEqual(['1 start 1', '3 change 3', '6 change 6', '7 change 7']);
  });

  it('drops the oldest of all where none is of an interval, but never the one that is being sent', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host, { maxReports: 3, maxBytes: 1e6 });
    for (const seq of [1, 2, 3]) await queue.add('change', seq, body(seq));
    const sending = await queue.next();
    await queue.add('change', 4, body(4));
    expect(sending?.report.seq).toBe(1);
    expect(await sent(queue)).toEqual(['1 change 1', '3 change 3', '4 change 4']);
  });

  it('is bounded in bytes too', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host, { maxReports: 100, maxBytes: 1000 });
    for (const seq of [1, 2, 3, 4, 5]) await queue.add('interval', seq, body(seq, 300));
    expect([queue.waiting(), queue.dropped()]).toEqual([3, 2]);
  });

  it('sets refused reports aside, at most 50', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host);
    for (let seq = 1; seq <= 52; seq += 1) {
      await queue.add('interval', seq, body(seq));
      const next = await queue.next();
      await queue.refused(next!.report);
    }
    const aside = (await readdir(join(directory, 'refused'))).sort();
    expect(aside).toHaveLength(50);
    expect(aside[0]).toMatch(/^000000000003-interval-/);
    expect(queue.waiting()).toBe(0);
  });

  it('passes over a report that was damaged on disk', async () => {
    const directory = await temporaryDirectory();
    const queue = await openReportQueue(directory, host);
    await queue.add('start', 1, body(1));
    await queue.add('change', 2, body(2));
    const [name] = (await readdir(join(directory, 'spool'))).sort();
    await writeFile(join(directory, 'spool', name!), 'other');
    expect(await sent(queue)).toEqual(['2 change 2']);
  });

  it.each([
    ['damaged', '{"format":'],
    [
      'of another host',
      JSON.stringify({ format: 'sealborn-chain-1', host: sha256('x'), seq: 1, digest: host, dropped: 0 }),
    ],
  ])('throws chain-invalid where chain.json is %s', async (_, content) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'chain.json'), content);
    await expect(openReportQueue(directory, host)).rejects.toMatchObject({ code: 'chain-invalid' });
  });
});

describe('loadHostKey', () => {
  it('makes a key at first, readable by its owner alone, and keeps it', async () => {
    const directory = await temporaryDirectory();
    const key = await loadHostKey(join(directory, 'state'));
    expect((await stat(join(directory, 'state', 'host.key'))).mode & 0o7777).toBe(0o600);
    expect((await stat(join(directory, 'state'))).mode & 0o7777).toBe(0o700);
    expect((await loadHostKey(join(directory, 'state'))).publicKey.id).toBe(key.publicKey.id);
  });

  it('gives one key to two that start at once', async () => {
    const directory = await temporaryDirectory();
    const keys = await Promise.all(Array.from({ length: 5 }, () => loadHostKey(directory)));
    expect(new Set(keys.map((key) => key.publicKey.id)).size).toBe(1);
  });

  it('refuses a key that others may read, and a file that is no key', async () => {
    const directory = await temporaryDirectory();
    await loadHostKey(directory);
    await chmod(join(directory, 'host.key'), 0o640);
    await expect(loadHostKey(directory)).rejects.toMatchObject({ code: 'host-key-invalid' });
    await writeFile(join(directory, 'host.key'), 'no key');
    await chmod(join(directory, 'host.key'), 0o600);
    await expect(loadHostKey(directory)).rejects.toMatchObject({ code: 'key-invalid' });
  });
});

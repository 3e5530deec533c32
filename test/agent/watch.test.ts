import { execFileSync } from 'node:child_process';
import { chmod, mkdir, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { createWatchTier } from '../../src/agent/measure/watch-tier.ts';
import type { DirectoryWatcher } from '../../src/host/watch/directory-watcher.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import type { WatchNews } from '../../src/host/watch/watch-loop.ts';
import { writeThroughMap } from '../system/syscalls.ts';
import { type SealedMachine, append } from './sealed-machine.ts';
import { until } from './until.ts';
import { watched } from './watched-machine.ts';

describe('directory watches', () => {
  it.each<[string, string, (machine: SealedMachine) => Promise<unknown>]>([
    ['a byte written', 'modified /usr/bin/app', (m) => m.tamper()],
    ['a byte appended', 'modified /etc/app.conf', (m) => append(m.file('etc/app.conf'))],
    ['a new mode', 'metadata /usr/bin/app', (m) => chmod(m.file('usr/bin/app'), 0o4755)],
    ['a new mode of a directory', 'metadata /etc', (m) => chmod(m.file('etc'), 0o777)],
    ['a new file', 'unexpected /usr/bin/new', (m) => writeFile(m.file('usr/bin/new'), '')],
    ['a new directory', 'unexpected /etc/new', (m) => mkdir(m.file('etc/new'))],
    ['a file removed', 'missing /etc/app.conf', (m) => rm(m.file('etc/app.conf'))],
    ['a directory moved away', 'missing /usr/bin', (m) => rename(m.file('usr/bin'), m.file('tmp/bin'))],
    [
      'a link that leads elsewhere',
      'modified /usr/bin/link',
      async (m) => {
        await symlink('/tmp/evil', m.file('tmp/link'));
        await rename(m.file('tmp/link'), m.file('usr/bin/link'));
      },
    ],
    [
      'a writer that does not close its file',
      'modified /usr/bin/app',
      async (m) => {
        const file = await open(m.file('usr/bin/app'), 'r+');
        onTestFinished(() => file.close());
        await file.write('X', 0);
      },
    ],
    [
      'a write through a memory map (attacks, row 48), once map and file are closed',
      'modified /usr/bin/app',
      (m) => Promise.resolve(writeThroughMap(m.file('usr/bin/app'), 0x58, 3)),
    ],
    [
      'a byte more in the bundle',
      'modified /usr/share/sealborn/bundle/policy.json',
      (m) => append(join(m.bundle, 'policy.json')),
    ],
  ])('find %s long before the sweep', async (_, words, change) => {
    const { machine, measurer } = await watched();
    await change(machine);
    await until('drift', () => measurer.verdict().state === 'drifted');
    const [found] = measurer.verdict().drift;
    expect(`${found?.kind} ${found?.path}`).toBe(words);
  });

  it('see into a directory that was put in the place of another', async () => {
    const { machine, measurer } = await watched();
    const copy = machine.file('tmp/etc');
    execFileSync('cp', ['-a', machine.file('etc'), copy]);
    execFileSync('sh', [
      '-c',
      'mv "$1" "$1.old" && mv "$2" "$1" && rm -r "$1.old"',
      'sh',
      machine.file('etc'),
      copy,
    ]);
    // The parent got other names meanwhile; whether a look saw them or not, the new directory must be watched.
    await until('the new watch', () => (measurer.verdict().coverage?.sweep?.immediate ?? 0) >= 3);
    const before = measurer.verdict().driftTotal;
    await append(machine.file('etc/app.conf'));
    await until('the change in it', () => measurer.verdict().drift.some(({ kind }) => kind === 'modified'));
    expect(measurer.verdict().driftTotal).toBeGreaterThan(before);
  });
});

describe('createWatchTier', () => {
  /** A tier whose watches say what a test tells them to. */
  function start(): {
    say: (news: WatchNews) => void;
    asked: string[];
    bounds: (number | undefined)[];
    looked: number[][];
    warnings: string[];
  } {
    let hear: (news: WatchNews) => void = () => undefined;
    const asked: string[] = [];
    const bounds: (number | undefined)[] = [];
    const looked: number[][] = [];
    const warnings: string[] = [];
    const none = { findings: [], findingsTotal: 0, files: 0, bytes: 0, seconds: 0 };
    const watcher: DirectoryWatcher = {
      beats: () => 0,
      died: new Promise(() => undefined),
      close: () => Promise.resolve(),
    };
    const tier = createWatchTier({
      checker: {
        forget: () => undefined,
        watch: (onNews) => {
          hear = onNews;
          return watcher;
        },
        entries: (entries) => Promise.resolve(none).finally(() => looked.push([...entries])),
        besides: () => none,
      },
      sweep: { sweepNow: (why) => void asked.push(why), atLeastEvery: (bound) => void bounds.push(bound) },
      log: { ...SILENT_LOG, warn: (_, words) => void warnings.push(words) },
    });
    const stop = new AbortController();
    const nothing = (): Promise<void> => Promise.resolve();
    const running = tier.run(
      { report: nothing, fail: nothing, cover: nothing, alive: () => undefined },
      stop.signal,
    );
    onTestFinished(async () => {
      stop.abort();
      await running;
    });
    return { say: (news) => hear(news), asked, bounds, looked, warnings };
  }

  const changed = (...entries: number[]): WatchNews => ({
    kind: 'changed',
    entries: Uint32Array.from(entries),
    bundle: false,
    events: entries.length,
  });

  it.each([
    ['ENOSPC', 'fs.inotify.max_user_watches'],
    ['EMFILE', 'fs.inotify.max_user_instances'],
  ])('says so and sweeps more often where the kernel grants too little: %s', (error, limit) => {
    const tier = start();
    tier.say({ kind: 'placed', held: 10, wanted: 15, error });
    expect(tier.bounds).toEqual([10]);
    expect(tier.warnings).toEqual([expect.stringContaining(limit)]);
    tier.say({ kind: 'placed', held: 15, wanted: 15 });
    expect(tier.bounds).toEqual([10, undefined]);
  });

  it('looks at each changed entry once, in order', async () => {
    const tier = start();
    tier.say(changed(7, 3));
    tier.say(changed(3, 9));
    await until('a look', () => tier.looked.length === 1);
    expect(tier.looked).toEqual([[3, 7, 9]]);
  });

  it('sweeps everything where too many entries changed to look at each', async () => {
    const tier = start();
    tier.say(changed(...Array.from({ length: 5000 }, (_, index) => index)));
    expect(tier.asked).toHaveLength(1);
    tier.say(changed(1));
    await until('a look', () => tier.looked.length === 1);
    expect(tier.looked).toEqual([[1]]);
  });
});

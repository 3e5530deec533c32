import { execFileSync } from 'node:child_process';
import { rmdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import type { Coverage } from '../../src/attestation/verdict.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { startIn } from '../agent/agent-process.ts';
import { sealMachine, untilState } from '../agent/sealed-machine.ts';
import { startMeasuring } from '../agent/start-measuring.ts';
import { until } from '../agent/until.ts';
import { watched } from '../agent/watched-machine.ts';
import { PREDICATE } from '../bundle/bundle-fixture.ts';
import { needs } from '../support/needs.ts';
import { NO_LOOP_DEVICES, mountLoop } from './loop-device.ts';
import { NO_MOUNTS, NO_ROOT, makeImage, seal, temporaryDirectory } from './sealed-image.ts';
import { mapShared } from './syscalls.ts';

const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };

describe('attack table: directory watches', () => {
  test('46: the queue overflows: an immediate sweep, and nothing is missed', async () => {
    const { machine, measurer } = await watched();
    // This process hears of nothing while it waits here, so the events pile up in the kernel. They are of files
    // that stay what they are: a look that runs meanwhile must not find anything either.
    execFileSync('sh', [
      '-c',
      'cd "$1" && yes "etc/app.conf usr/bin/app" | head -20000 | xargs touch && printf X >> usr/bin/app',
      'sh',
      machine.root,
    ]);
    await until('drift', () => measurer.verdict().drift.some(({ path }) => path === '/usr/bin/app'));
    await until('the overflow to show', () => (measurer.verdict().coverage?.watch?.overflows ?? 0) > 0);
    expect(measurer.verdict().drift.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'modified /usr/bin/app',
    ]);
  });
});

/** Once the clock has gone on, so that what changes now gets a time of its own. */
async function later(): Promise<void> {
  const before = Date.now();
  await until('the clock to go on', () => Date.now() > before + 20);
}

describe('attack table: a memory map that stays open', () => {
  test('48: written to under a running agent: modified, by a sweep', async () => {
    const machine = await sealMachine();
    const measurer = await startMeasurer(machine.settings(), common);
    onTestFinished(() => measurer.close());
    const map = mapShared(machine.file('usr/bin/app'));
    onTestFinished(map.close);
    await until('trust', () => measurer.verdict().state === 'trusted');
    map.write(0x58, 3);
    await until('drift', () => measurer.verdict().state === 'drifted');
    expect(measurer.verdict().drift).toMatchObject([{ kind: 'modified', path: '/usr/bin/app' }]);
  });

  test('48: written to once its page was written back: modified, by a sweep', async () => {
    const image = await seal(makeImage());
    const path = join(image.root, 'usr/bin/env');
    const map = mapShared(path);
    onTestFinished(map.close);
    map.write(0x63, 1); // the "c" that stands there: the file is as it was, its times are not
    execFileSync('sync', [path]);
    await later();
    expect((await image.checker.sweep()).findings).toEqual([]);
    map.write(0x58, 1);
    expect(await image.found()).toEqual(['modified /usr/bin/env']);
  });

  needs(NO_MOUNTS)(
    '48: a page that is never written back: by no sweep, but when it is read again',
    async () => {
      // In a tmpfs, nothing writes pages back; elsewhere the kernel does, 30 s after the first write.
      const root = temporaryDirectory();
      execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', root]);
      onTestFinished(() => void execFileSync('umount', [root]));
      const { checker } = await seal(makeImage(root));
      const map = mapShared(join(root, 'usr/bin/env'));
      onTestFinished(map.close);
      map.write(0x63, 1);
      await later();
      expect((await checker.sweep()).findings).toEqual([]);
      map.write(0x58, 1);
      expect((await checker.sweep()).findings).toEqual([]);
      const found: string[] = [];
      for (const slice of checker.rehashSlices) {
        const { findings } = await checker.rehashSlice(slice, 1, () => undefined);
        found.push(...findings.map(({ kind, path }) => `${kind} ${path}`));
      }
      expect(found).toEqual(['modified /usr/bin/env']);
    },
  );
});

describe('attack table: a file system that is mounted anew', () => {
  needs(NO_LOOP_DEVICES)(
    '30: written below, and no inode changed: modified as soon as it is mounted again',
    async () => {
      const usr = { path: '/usr', types: [], require: [], forbid: [], optional: false };
      const measure = { ...PREDICATE.measure, mounts: [usr] };
      const machine = await sealMachine({ sweepSeconds: 3600, predicate: { measure } });
      const { root, writeBelow, remount } = mountLoop();
      rmdirSync(join(root, 'lost+found'));
      execFileSync('cp', ['-a', `${machine.file('usr')}/.`, root]);
      const bind = (): void => void execFileSync('mount', ['--bind', root, machine.file('usr')]);
      bind();
      onTestFinished(() => void execFileSync('umount', [machine.file('usr')]));
      // An hour from now, when what was just written counts as long settled.
      const measurer = await startMeasuring(machine, { now: () => new Date(Date.now() + 3_600_000) });
      await until('trust', () => measurer.verdict().state === 'trusted');
      await until('the watches', () => (measurer.verdict().coverage?.sweep?.immediate ?? 0) > 0);
      // All that it will read past the page cache for a day.
      await until('the rehash', () => (measurer.verdict().coverage?.rehash?.bytes ?? 0) > 100_000);
      // This process looks at nothing meanwhile; only the thread that watches hears of it.
      execFileSync('umount', [machine.file('usr')]);
      writeBelow('bin/app', 'X');
      remount();
      bind();
      await until('drift', () => measurer.verdict().state === 'drifted');
      expect(measurer.verdict().drift).toMatchObject([{ kind: 'modified', path: '/usr/bin/app' }]);
    },
  );
});

describe('directory watches that the kernel does not grant', () => {
  // Limits of a user namespace of its own hold for the agent in it, and for nobody else (user_namespaces(7)).
  needs(NO_ROOT).each([
    ['too few: ENOSPC', 'max_inotify_watches', 3, 'ENOSPC', 3],
    ['no queue: EMFILE', 'max_inotify_instances', 0, 'EMFILE', 0],
  ])(
    '%s: the agent says so, sweeps every 10 s, and finds what no watch tells of',
    async (_, limit, to, error, held) => {
      const machine = await sealMachine({ sweepSeconds: 3600 });
      const server = await startServer(machine.settings(), common);
      onTestFinished(() => server.close());
      const running = await startIn(
        [
          'unshare',
          '--user',
          '--map-root-user',
          'sh',
          '-c',
          `echo ${to} > /proc/sys/user/${limit} && exec "$@"`,
          'sh',
        ],
        machine,
        'measure',
      );
      await untilState(server.decideSocket, 'trusted');
      const warned = await until('the warning', () =>
        running.lines.find(({ code }) => code === 'watch-partial'),
      );
      expect(warned).toMatchObject({ held, error, msg: expect.stringContaining('every 10 s') as string });
      const said = await until('the coverage', async () => {
        const now = (await untilState(server.decideSocket, 'trusted')) as { coverage: Coverage };
        return now.coverage.sweep?.everySeconds === 10 && now.coverage;
      });
      expect(said.watch).toMatchObject({ held, error });
      expect(said.watch?.wanted).toBeGreaterThan(held);
      await machine.tamper();
      expect(await untilState(server.decideSocket, 'drifted', 40_000)).toMatchObject({
        drift: [{ kind: 'modified', path: '/usr/bin/app' }],
      });
    },
  );
});

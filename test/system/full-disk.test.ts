import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, rmdirSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { checkLog, readLog } from '../agent/read-log.ts';
import { ask, health, sealMachine, status, untilState } from '../agent/sealed-machine.ts';
import { until } from '../agent/until.ts';
import { needs } from '../support/needs.ts';
import { NO_MOUNTS } from './sealed-image.ts';

const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };

/** A file system of its own that a test can fill. */
function smallDisk(): { directory: string; fill: () => void; free: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', directory]);
    rmdirSync(directory);
  });
  const ballast = join(directory, 'ballast');
  return {
    directory,
    fill: () => {
      const fd = openSync(ballast, 'a');
      for (const size of [4096, 1]) {
        try {
          for (;;) writeSync(fd, Buffer.alloc(size));
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'ENOSPC' });
        }
      }
      closeSync(fd);
    },
    free: () => rmSync(ballast),
  };
}

type LogStatus = { fault?: { message: string }; notLogged: { blocked: number; dropped: number } };

describe('a full disk', () => {
  needs(NO_MOUNTS).for(['block', 'drop'] as const)(
    '%s, as the release says, until there is space; then a gap says how many decisions have no line',
    async (whenFull) => {
      const disk = smallDisk();
      const machine = await sealMachine({ predicate: { decisionLog: { whenFull, mask: [] } } });
      const settings = { ...machine.settings(), logDirectory: join(disk.directory, 'log') };
      const server = await startServer(settings, common);
      onTestFinished(() => server.close());
      const measurer = await startMeasurer(settings, common);
      onTestFinished(() => measurer.close());
      await untilState(server.decideSocket, 'trusted');
      const logOf = async (): Promise<LogStatus> =>
        (await status(server.decideSocket))['decisionLog'] as LogStatus;

      disk.fill();
      // What was taken before the first write failed stays in memory and is written later.
      let taken = 0;
      await until('a failed write', async () => {
        if ((await logOf()).fault !== undefined) return true;
        await ask(server.decideSocket);
        taken += 1;
        return false;
      });
      expect((await logOf()).fault?.message).toContain('ENOSPC');
      const before = (await logOf()).notLogged;
      const answer = await ask(server.decideSocket);
      if (whenFull === 'block') {
        expect(answer).toMatchObject({ decision: false, context: { reason: 'not-logged', policies: [] } });
      } else expect(answer).toMatchObject({ decision: true, context: { reason: 'permit' } });
      expect((await health(server.healthPort)).status).toBe(whenFull === 'block' ? 503 : 200);
      const word = whenFull === 'block' ? 'blocked' : 'dropped';
      const lost = before[word] + 1;
      expect((await logOf()).notLogged[word]).toBe(lost);
      const { body } = await health(server.healthPort, '/metrics');
      expect(body).toContain(`sealborn_decisions_not_logged_total{action="${word}"} ${lost}\n`);
      expect(body).toContain('sealborn_decision_log_available 0\n');

      disk.free();
      await until('recovery', async () => (await logOf()).fault === undefined);
      expect(await ask(server.decideSocket)).toMatchObject({ decision: true });
      expect((await health(server.healthPort)).status).toBe(200);
      await server.close();
      const summary = await checkLog(settings.logDirectory);
      expect(summary.break).toBeUndefined();
      expect(summary.notLogged).toEqual({ blocked: 0, dropped: 0, [word]: lost });
      expect(summary.decisions).toBe(taken - before[word] + 1);
      expect((await readLog(settings.logDirectory)).find(({ type }) => type === 'gap')).toMatchObject({
        not_logged: lost,
        action: whenFull,
        reason: expect.stringContaining('ENOSPC') as string,
      });
    },
  );
});

import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished } from 'vitest';

import { checkLog } from '../agent/read-log.ts';
import { decided, startLog } from '../agent/log-fixture.ts';
import { until } from '../agent/until.ts';
import { needs } from '../support/needs.ts';
import { NO_LOOP_DEVICES, mountExt4 } from './loop-device.ts';
import { NO_MOUNTS } from './sealed-image.ts';

/**
 * An ext4 without a journal on a loop device, whose image is a sparse file on a tmpfs. When the tmpfs is full, the
 * file system goes on to take writes into the page cache, and what it can't bring to its disk the sync tells.
 */
function failingDisk(): { root: string; break: () => void; mend: () => void; remount: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-sync-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', directory]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', directory]);
    rmSync(directory, { recursive: true });
  });
  const { root, device } = mountExt4(directory, 64, '^has_journal');
  const ballast = join(directory, 'ballast');
  return {
    root,
    break: () => {
      execFileSync('sync', ['--file-system', root]);
      const fd = openSync(ballast, 'a');
      try {
        for (;;) writeSync(fd, Buffer.alloc(4096));
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'ENOSPC' });
      }
      closeSync(fd);
    },
    mend: () => rmSync(ballast),
    // What was only in the page cache is gone then.
    remount: () => {
      execFileSync('umount', [root]);
      execFileSync('mount', [device, root]);
    },
  };
}

describe('a disk that fails a sync', () => {
  needs(NO_MOUNTS, NO_LOOP_DEVICES)(
    'loses no line that was taken, and no head is told that is not on it',
    async () => {
      const disk = failingDisk();
      const directory = join(disk.root, 'log');
      const log = await startLog(directory);
      let permitted = 0;
      const ask = (): boolean => {
        const { decision } = log.account(decided({ text: 'x'.repeat(2000) }));
        if (decision) permitted += 1;
        return decision;
      };
      for (let count = 0; count < 5; count += 1) ask();
      await until('a sync', () => log.head()?.seq === 6);
      disk.break();
      // Every write still succeeds; only the sync says that nothing reaches the disk.
      await until('a sync that fails', () => {
        if (log.status().fault !== undefined) return true;
        ask();
        return undefined;
      });
      expect(log.status().fault?.message).toMatch(/syncing .*(?:ENOSPC|EIO)/);
      expect(log.head()?.seq).toBeLessThan(permitted + 1); // the log's first line is its own
      expect(ask()).toBe(false);
      disk.mend();
      await until('recovery', () => log.status().fault === undefined);
      expect(ask()).toBe(true);
      await log.close();
      const head = log.head();
      disk.remount();
      expect(head).toBeDefined();
      const check = await checkLog(directory, head === undefined ? {} : { known: head });
      expect(check.break).toBeUndefined();
      expect(check).toMatchObject({
        head: 'matched',
        decisions: permitted,
        notLogged: { blocked: 1 },
      });
    },
  );
});

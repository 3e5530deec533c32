import { describe, expect, inject, it } from 'vitest';

import { until } from '../../agent/until.ts';
import { skipped } from '../requirements.ts';
import { boot, patiently } from './machine.ts';

/** The longest that a change may go unnoticed; mount tables and watches show these in about a second. */
const BOUND_MS = 65_000;

/** A command as root, and what is found. Each needs a reboot to be undone; the last one even that does not undo. */
const ATTACKS = [
  {
    what: 'a mount over a file',
    how: 'mount --bind /usr/bin/true /usr/bin/env',
    found: 'overmounted /usr/bin/env',
  },
  {
    what: 'a mount that loses an option',
    how: 'mount -o remount,bind,suid,nodev /tmp',
    found: 'mount-options /tmp',
  },
  {
    what: 'a file system over a directory',
    how: 'mount -t tmpfs tmpfs /usr/share/sealborn/haproxy',
    found: 'overmounted /usr/share/sealborn/haproxy',
  },
  {
    what: 'a process that writes',
    how: 'systemd-run --quiet --wait sh -c "echo umask 0 >> /etc/profile"',
    found: 'modified /etc/profile',
  },
];

describe.skipIf(skipped(inject('noContainer')))('a machine that drifts while it runs', () => {
  const sealed = inject('sealed');

  it('turns unhealthy, reaches the drift target and tells the collector; a reboot undoes what it undoes', async () => {
    const machine = await boot(sealed?.root ?? '');
    await machine.booted();
    for (const { what, how, found } of ATTACKS) {
      expect(await machine.health(), what).toBe(200);
      expect(await machine.isActive('boot-complete.target'), what).toBe(true);
      expect(await machine.isActive('sealborn-drift.target'), what).toBe(false);
      await machine.shell(how);
      await until(
        `503 and the drift target after ${what}`,
        async () => (await machine.health()) === 503 && machine.isActive('sealborn-drift.target'),
        BOUND_MS,
      );
      expect((await machine.run('sealborn', 'status')).status, what).toBe(1);
      await patiently(`the report of ${what}`, async () => {
        const host = await machine.host();
        return host?.verdict.drift.some(({ kind, path }) => `${kind} ${path}` === found);
      });
      await machine.reboot();
    }
    expect(await machine.health()).toBe(503);
    expect(await machine.isActive('boot-complete.target')).toBe(false);
    expect(await machine.states('drifted')).toEqual(['measuring', 'drifted']);
  });
});

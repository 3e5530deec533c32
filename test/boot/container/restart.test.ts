import { connect } from 'node:net';

import { describe, expect, inject, it } from 'vitest';

import { skipped } from '../requirements.ts';
import { boot, type Machine, patiently } from './machine.ts';

const MEASURER = 'sealborn-measure.service';
const SERVER = 'sealborn.service';
const QUESTION = [
  'ServiceAccount::checkout-web',
  'CreatePayment',
  'Ledger::main',
  '--context',
  '{"amount": 1999}',
];

describe.skipIf(skipped(inject('noContainer')))('a machine whose halves are killed', () => {
  const sealed = inject('sealed');

  it('is trusted only after it was measured again; drift outlives kill -9 and restarts, and ends with a reboot', async () => {
    const machine = await boot(sealed?.root ?? '');
    await machine.booted();
    expect(await machine.states('trusted')).toEqual(['measuring', 'trusted']);

    // The measuring half: it says "trusted" anew only after a whole measurement, and the serving half denies until then.
    await kill(machine, MEASURER);
    const again = ['measuring', 'trusted', 'measuring', 'trusted'];
    await patiently('measured again', async () => (await machine.states('trusted')).length === again.length);
    expect(await machine.states('trusted')).toEqual(again);
    await patiently('200 again', async () => (await machine.health()) === 200);
    const stood = await patiently('trusted again', async () => {
      const seen = await standings(machine);
      return seen.filter((state) => state === 'trusted').length > 1 && seen;
    });
    expect(stood.slice(stood.indexOf('trusted') + 1)).toContain('starting');

    // The serving half: systemd holds the sockets meanwhile, so that no client misses them.
    await kill(machine, SERVER);
    for (const name of ['decide.sock', 'decide.ndjson.sock']) {
      expect(await takesConnections(`/proc/${machine.init()}/root/run/sealborn/${name}`), name).toBe(true);
    }
    await patiently(
      'permitted again',
      async () => (await machine.run('sealborn', 'ask', ...QUESTION)).status === 0,
    );
    expect(await machine.health()).toBe(200);
    expect(await machine.states('trusted')).toEqual(again);

    // Drift, undone at once by who made it.
    await machine.shell('cp -a /etc/profile /tmp/profile; echo umask 0 >> /etc/profile');
    await patiently('503', async () => (await machine.health()) === 503);
    await machine.shell(
      'cat /tmp/profile > /etc/profile; touch -r /tmp/profile /etc/profile; rm /tmp/profile',
    );
    for (const unit of [MEASURER, SERVER]) await kill(machine, unit);
    await machine.shell(`systemctl restart ${MEASURER} ${SERVER}`);
    await patiently(
      'an answer',
      async () => (await machine.run('sealborn', 'status', '--wait', '60')).status === 1,
    );
    expect(await machine.health()).toBe(503);
    expect((await machine.states('drifted')).filter((state) => state === 'trusted')).toHaveLength(2);
    expect(await machine.run('sealborn', 'ask', ...QUESTION)).toMatchObject({ status: 1 });
    expect(await machine.isActive('sealborn-drift.target')).toBe(true);

    await machine.reboot();
    expect(await machine.states('trusted')).toEqual(['measuring', 'trusted']);
    expect(await machine.isActive('boot-complete.target')).toBe(true);
    expect(await machine.isActive('sealborn-drift.target')).toBe(false);
    expect(await machine.health()).toBe(200);
    await patiently('the report after the reboot', async () => (await machine.host())?.state === 'trusted');
  });
});

/** kill -9 of a unit's process; over when systemd has started another one that is ready. */
async function kill(machine: Machine, unit: string): Promise<void> {
  const restarts = async (): Promise<number> =>
    Number(await machine.shell(`systemctl show --property=NRestarts --value ${unit}`));
  const before = await restarts();
  await machine.shell(`systemctl kill --kill-whom=main --signal=KILL ${unit}`);
  await patiently(`systemd restarts ${unit}`, async () => (await restarts()) > before);
}

/** What the serving half went by since this boot, in order. */
async function standings(machine: Machine): Promise<string[]> {
  const { stdout } = await machine.run('journalctl', '--boot', '--output=cat', `--unit=${SERVER}`);
  return [...stdout.matchAll(/"code":"standing","state":"(\w+)"/g)].map(([, state]) => state ?? '');
}

async function takesConnections(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  const isTaken = await promise;
  socket.destroy();
  return isTaken;
}

import { describe, expect, inject, it } from 'vitest';

import { skipped } from '../requirements.ts';
import { boot, patiently } from './machine.ts';

describe.skipIf(skipped(inject('noContainer')))('a sealed image that systemd boots', () => {
  const sealed = inject('sealed');

  it('is trusted, completes its boot, decides, and reports', async () => {
    const machine = await boot(sealed?.root ?? '', { pin: sealed?.pin ?? '' });
    await machine.booted();
    expect((await machine.run('sealborn', 'status')).stdout).toMatch(/^trusted\n/);
    expect(await machine.states('trusted')).toEqual(['measuring', 'trusted']);
    expect(await machine.isActive('boot-complete.target')).toBe(true);
    expect(await machine.isActive('sealborn.target')).toBe(true);
    expect(await machine.isActive('sealborn-drift.target')).toBe(false);
    expect(await machine.health()).toBe(200);

    const ask = async (subject: string): Promise<{ status: number; stdout: string }> =>
      machine.run(
        'sealborn',
        'ask',
        subject,
        'CreatePayment',
        'Ledger::main',
        '--context',
        '{"amount": 1999}',
      );
    expect(await ask('ServiceAccount::checkout-web')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('writers-create-payments') as string,
    });
    expect(await ask('ServiceAccount::ledger-sync')).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('no policy permits it') as string,
    });

    const host = await patiently('the report of a trusted machine', async () => {
      const seen = await machine.host();
      return seen?.state === 'trusted' ? seen : undefined;
    });
    expect(host).toMatchObject({ labels: { role: 'payments' }, verdict: { state: 'trusted', drift: [] } });
  });
});

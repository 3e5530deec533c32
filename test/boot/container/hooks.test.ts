import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, inject, it } from 'vitest';

import { project } from '../../../scripts/bundle.ts';
import { seal } from '../pipeline.ts';
import { skipped } from '../requirements.ts';
import { type Machine, boot, patiently } from './machine.ts';

const SERVICE = `[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
`;

describe.skipIf(skipped(inject('noContainer')))('the examples of what to do on drift', () => {
  const sealed = inject('sealed');

  /** Boots an image that has one of the examples, and a service that serves. */
  async function bootWith(example: string, change = (text: string): string => text): Promise<Machine> {
    if (sealed === undefined) throw new Error('no image was prepared');
    const machine = await boot(sealed.root, {
      alter: (root) => {
        const units = join(root, 'etc/systemd/system');
        const text = readFileSync(project(`packaging/examples/drift/${example}`), 'utf8');
        writeFileSync(join(units, example), change(text));
        writeFileSync(join(units, 'payments.service'), SERVICE);
        execFileSync('systemctl', ['--root', root, 'enable', example, 'payments.service'], {
          stdio: 'ignore',
        });
        seal(root, sealed.policy, 'production', sealed.keys);
      },
    });
    await machine.booted();
    expect(await machine.health()).toBe(200);
    expect(await machine.isActive('payments.service')).toBe(true);
    return machine;
  }

  it('drain.service stops the service', async () => {
    const machine = await bootWith('drain.service', (text) => text.replace('sleep 60', 'sleep 0'));
    await machine.shell('touch /usr/bin/extra');
    await patiently('the service is stopped', async () => !(await machine.isActive('payments.service')));
    expect(await machine.health()).toBe(503);
  });

  it('power-off.service ends the machine', async () => {
    const machine = await bootWith('power-off.service');
    await machine.shell('touch /usr/bin/extra');
    await patiently('the machine is off', async () => !machine.isRunning());
  });
});

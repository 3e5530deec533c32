import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
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

  /** Boots an image that has these examples, and a service that serves. */
  async function bootWith(
    examples: readonly string[],
    change = (text: string): string => text,
  ): Promise<Machine> {
    if (sealed === undefined) throw new Error('no image was prepared');
    const machine = await boot(sealed.root, {
      alter: (root) => {
        const units = join(root, 'etc/systemd/system');
        for (const example of examples) {
          const text = readFileSync(project(`packaging/examples/drift/${example}`), 'utf8');
          writeFileSync(join(units, example), change(text));
        }
        writeFileSync(join(units, 'payments.service'), SERVICE);
        execFileSync('systemctl', ['--root', root, 'enable', ...examples, 'payments.service'], {
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
    const machine = await bootWith(['drain.service'], (text) => text.replace('sleep 60', 'sleep 0'));
    await machine.shell('touch /usr/bin/extra');
    await patiently('the service is stopped', async () => !(await machine.isActive('payments.service')));
    expect(await machine.health()).toBe(503);
  });

  it('power-off.service ends the machine', async () => {
    const machine = await bootWith(['power-off.service']);
    await machine.shell('touch /usr/bin/extra');
    await patiently('the machine is off', async () => !machine.isRunning());
  });

  it('power-off.service waits for mark-boot-bad.service', async () => {
    // A container has no boot entry: in the place of the script stands one that ends when it is told to.
    const script = 'until [ -e /var/go ]; do sleep 0.1; done; touch /var/marked';
    const machine = await bootWith(['mark-boot-bad.service', 'power-off.service'], (text) =>
      text
        .replace(/^ConditionPathExists=.*\n/m, '')
        .replace('/usr/lib/sealborn-drift/mark-boot-bad', `/bin/sh -c "${script}"`),
    );
    await machine.shell('touch /usr/bin/extra');
    const jobs = async (): Promise<string> =>
      (await machine.run('systemctl', 'list-jobs', '--no-legend')).stdout;
    await patiently('the mark is being made', async () =>
      /mark-boot-bad\.service +start +running/.test(await jobs()),
    );
    expect(await jobs()).toMatch(/power-off\.service +start +waiting/);
    await machine.shell('touch /var/go');
    await patiently('the machine is off', async () => !machine.isRunning());
    expect(existsSync(join(machine.root, 'var/marked'))).toBe(true);
  });
});

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { thisArchitecture } from '../../../scripts/package/architecture.ts';
import { makePackage } from '../../../scripts/package/debian.ts';
import { until } from '../../agent/until.ts';
import { PACKAGES, debianRoot } from '../debian-root.ts';
import { skipped } from '../requirements.ts';
import { type Machine, boot } from './machine.ts';

const AGENT = 'sealborn';
const COLLECTOR = 'sealborn-collector';
const ENABLED = [
  'sealborn.target',
  'sealborn.service',
  'sealborn-measure.service',
  'sealborn-decide.socket',
  'sealborn-decide-ndjson.socket',
  'sealborn-verified.service',
  'sealborn-drift.path',
];

/** The packages, and the same with a later version, in a Debian that has neither. */
describe.skipIf(skipped(inject('noContainer')))('the packages, on a Debian that runs', () => {
  let image: string;

  beforeAll(async () => {
    image = mkdtempSync(join(tmpdir(), 'sealborn-plain-'));
    execFileSync('tar', ['-xpf', debianRoot(PACKAGES).tar, '-C', image]);
    mkdirSync(join(image, 'opt/debs'), { recursive: true });
    for (const name of [AGENT, COLLECTOR] as const) {
      const file = await makePackage({
        name,
        architecture: thisArchitecture(),
        out: image,
        epoch: Math.floor(Date.now() / 1000),
        compression: 0,
      });
      cpSync(file, join(image, `opt/debs/${name}-1.deb`));
      laterVersion(file, join(image, `opt/debs/${name}-2.deb`));
      rmSync(file);
    }
  });
  afterAll(() => rmSync(image, { recursive: true, force: true }));

  const start = async (): Promise<Machine> => {
    const machine = await boot(image);
    await machine.booted();
    return machine;
  };
  const dpkg = (machine: Machine, ...args: string[]): Promise<string> =>
    machine.shell(`dpkg --force-unsafe-io ${args.join(' ')} 2>&1`);
  const mainProcess = async (machine: Machine, unit: string): Promise<string> =>
    (await machine.shell(`systemctl show --property=MainPID --value ${unit}`)).trim();

  it('install: makes users and the run directory, enables every unit, and starts nothing', async () => {
    const machine = await start();
    await dpkg(machine, '--install', `/opt/debs/${AGENT}-1.deb`);
    for (const unit of ENABLED) {
      const said = await machine.run('systemctl', 'is-enabled', unit);
      expect(said.stdout, unit).toBe('enabled\n');
      expect(await machine.isActive(unit), unit).toBe(false);
    }
    expect(await machine.shell('stat -c "%a %U %G" /run/sealborn')).toBe('1775 root sealborn-measure\n');
    expect(await machine.shell('id --name --user sealborn sealborn-measure | sort')).toBe(
      'sealborn\nsealborn-measure\n',
    );
    expect(await machine.shell('systemctl --failed --no-legend')).toBe('');
    expect(await machine.shell(`dpkg --verify ${AGENT} | grep -v /usr/share/doc/ || true`)).toBe('');
  });

  it('upgrade: keeps what the operator disabled and set, knows the new units, restarts what runs', async () => {
    const machine = await start();
    await dpkg(machine, '--install', `/opt/debs/${AGENT}-1.deb`, `/opt/debs/${COLLECTOR}-1.deb`);
    await machine.shell('systemctl disable --quiet sealborn-drift.path');
    await machine.shell('echo "labels: {role: kept}" >> /etc/sealborn/agent.yaml');
    await machine.shell('echo "OPTIONS=--listen 127.0.0.1:9191" > /etc/default/sealborn-collector');
    await machine.shell('systemctl start sealborn-collector.service');
    // Not sealed: it refuses, says so, and goes on running.
    await machine.shell('systemctl start sealborn.service sealborn-decide.socket');
    await until('the serving half runs', () => machine.isActive('sealborn.service'));
    const before = [
      await mainProcess(machine, 'sealborn.service'),
      await mainProcess(machine, 'sealborn-collector.service'),
    ];
    await dpkg(machine, '--install', `/opt/debs/${AGENT}-2.deb`, `/opt/debs/${COLLECTOR}-2.deb`);
    expect((await machine.run('systemctl', 'is-enabled', 'sealborn-drift.path')).stdout).toBe('disabled\n');
    expect((await machine.run('systemctl', 'is-enabled', 'sealborn.service')).stdout).toBe('enabled\n');
    expect(readFileSync(join(machine.root, 'etc/sealborn/agent.yaml'), 'utf8')).toContain('role: kept');
    const description = 'systemctl show --property=Description --value sealborn.service';
    expect(await machine.shell(description)).toContain('(later)');
    for (const [index, unit] of ['sealborn.service', 'sealborn-collector.service'].entries()) {
      await until(`${unit} runs again`, () => machine.isActive(unit));
      expect(await mainProcess(machine, unit), unit).not.toBe(before[index]);
    }
  });

  it('remove: stops everything and leaves settings and data; purge: leaves nothing but users', async () => {
    const machine = await start();
    await dpkg(machine, '--install', `/opt/debs/${AGENT}-1.deb`, `/opt/debs/${COLLECTOR}-1.deb`);
    await machine.shell('systemctl start sealborn-collector.service sealborn-drift.path');
    await machine.shell(
      'systemctl start sealborn.service sealborn-decide.socket sealborn-decide-ndjson.socket',
    );
    await until('the serving half runs', () => machine.isActive('sealborn.service'));
    await machine.shell('touch /run/sealborn/drift');

    await dpkg(machine, '--remove', AGENT, COLLECTOR);
    for (const unit of [...ENABLED, 'sealborn-collector.service']) {
      expect(await machine.isActive(unit), unit).toBe(false);
    }
    expect(await machine.shell('pgrep -f /usr/bin/sealborn || true')).toBe('');
    expect(existsSync(join(machine.root, 'etc/sealborn/agent.yaml'))).toBe(true);
    expect(existsSync(join(machine.root, 'var/lib/sealborn'))).toBe(true);
    expect(existsSync(join(machine.root, 'var/lib/private/sealborn-collector/fleet.db'))).toBe(true);
    expect((await machine.run('systemctl', 'cat', 'sealborn.service')).status).not.toBe(0);

    await dpkg(machine, '--purge', AGENT, COLLECTOR);
    const left = await machine.shell(
      'find /etc /usr /var -xdev -iname "*sealborn*" -not -path "/var/log/journal/*" -not -path "/var/lib/dpkg/*"',
    );
    expect(left).toBe('');
    // A machine that drifted stays so until its next boot.
    expect(await machine.shell('ls /run/sealborn')).toContain('drift');
    expect(await machine.shell('id --name --user sealborn')).toBe('sealborn\n');
    expect(await machine.shell('systemctl --failed --no-legend')).toBe('');
  });
});

/** The same package as of a later version, with a unit that says so. */
function laterVersion(deb: string, out: string): void {
  const work = mkdtempSync(join(tmpdir(), 'sealborn-later-'));
  try {
    execFileSync('dpkg-deb', ['--raw-extract', deb, work]);
    const edit = (file: string, from: RegExp, to: string): void => {
      const path = join(work, file);
      if (existsSync(path)) writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
    };
    edit('DEBIAN/control', /^(Version: .*)$/m, '$1+later');
    edit('usr/lib/systemd/system/sealborn.service', /^(Description=.*)$/m, '$1 (later)');
    rmSync(join(work, 'DEBIAN/md5sums'));
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', work, out], { stdio: 'ignore' });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { project } from '../../../scripts/bundle.ts';
import { flipOneByte } from '../flip-one-byte.ts';
import { NO_FIRMWARE, skipped } from '../requirements.ts';
import { startChip } from './chip.ts';
import { type Disk, makeDisk } from './disk.ts';
import { emulate, kernelWords } from './emulate.ts';
import { type Esp, makeEsp } from './esp.ts';
import { type MachineImage, makeMachineImage, makeRoot } from './machine-image.ts';
import { freePort, untilHere } from './patience.ts';

const HOOK = 'mark-boot-bad.service';
const SCRIPT = 'usr/lib/sealborn-drift/mark-boot-bad';

/** Waits for the gate's word, lets the machine drift where the command line asks for it, tells, and powers off. */
const PROBE = `#!/bin/sh
{
  echo "boot-complete $(systemctl is-active boot-complete.target)"
  echo "bless $(systemctl is-active systemd-bless-boot.service)"
  echo "entries-before $(ls /boot/loader/entries)"
  drift=$(grep -ow drift /proc/cmdline)
  [ -z "$drift" ] || mount --bind /usr/bin/true /usr/bin/env
  # Where the boot did not verify, the target comes by itself.
  if [ -n "$drift" ] || ! systemctl --quiet is-active boot-complete.target; then
    until systemctl --quiet is-active sealborn-drift.target; do sleep 1; done
  fi
  while [ "$(systemctl is-active ${HOOK})" = activating ] || systemctl list-jobs | grep -q ${HOOK}; do sleep 1; done
  echo "drift-target $(systemctl is-active sealborn-drift.target)"
  echo "hook $(systemctl show -P Result ${HOOK}) $(systemctl show -P ExecMainStatus ${HOOK})"
  echo "said $(journalctl -b -o cat -u ${HOOK} -u systemd-bless-boot.service | tr '\\n' '|')"
  echo "end"
} > /dev/ttyS1
systemctl --no-block poweroff
`;

const BOOT_LOADER = {
  modules: ['efivarfs', 'vfat', 'nls_ascii', 'nls_cp437'],
  files: {
    'etc/fstab': [
      'tmpfs /var tmpfs mode=0755,nosuid,nodev 0 0',
      'tmpfs /tmp tmpfs mode=1777,nosuid,nodev 0 0',
      'PARTLABEL=esp /boot vfat umask=0077,nosuid,nodev,noexec 0 0\n',
    ].join('\n'),
    [`etc/systemd/system/${HOOK}`]: example(HOOK),
    [SCRIPT]: example('mark-boot-bad'),
    'etc/systemd/system/probe.service': [
      '[Unit]\nAfter=boot-complete.target sealborn.target systemd-bless-boot.service\n',
      '[Service]\nType=oneshot\nExecStart=/usr/lib/probe\n',
      '[Install]\nWantedBy=multi-user.target\n',
    ].join('\n'),
    'usr/lib/probe': PROBE,
  },
  executable: [SCRIPT],
  enabled: [HOOK],
  mutable: ['/boot'],
  mounts: ['    - { path: /boot, types: [vfat], require: [nosuid, nodev] }'],
};

function example(name: string): string {
  return readFileSync(project(`packaging/examples/drift/${name}`), 'utf8');
}

describe.skipIf(skipped(NO_FIRMWARE))('a machine started by systemd-boot, which counts boots', () => {
  let place: string;
  let image: MachineImage;
  let sealed: Disk;
  let altered: Disk;
  let unhooked: Disk;
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'sealborn-counted-'));
    image = makeMachineImage(place, await makeRoot(place, ['systemd-boot']), BOOT_LOADER);
    sealed = makeDisk(image.root, place, 'sealed');
    flipOneByte(join(image.root, 'usr/bin/env'));
    altered = makeDisk(image.root, place, 'altered');
    // Without the hook, what remains is the gate.
    rmSync(join(image.root, 'etc/systemd/system/sealborn-drift.target.wants', HOOK));
    unhooked = makeDisk(image.root, place, 'unhooked');
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  it('loses its counter when the boot verified, and is marked bad when it drifts in that boot', async () => {
    const { probe, entries } = await start(newEsp(), sealed, 'sealed+3.conf', ['drift']);
    expect(probe).toMatchObject({
      'boot-complete': 'active',
      bless: 'active',
      'entries-before': 'sealed.conf',
      'drift-target': 'active',
      hook: 'success 0',
    });
    expect(entries).toEqual(['sealed+0-1.conf']);
  });

  it('stays blessed, and is marked bad when it drifts in a later boot, which is not counted', async () => {
    const esp = newEsp();
    const first = await start(esp, sealed, 'sealed+3.conf');
    expect(first.probe).toMatchObject({ bless: 'active', 'drift-target': 'inactive' });
    expect(first.entries).toEqual(['sealed.conf']);
    const { probe, entries } = await start(esp, sealed, 'sealed.conf', ['drift']);
    expect(probe).toMatchObject({
      'boot-complete': 'active',
      'entries-before': 'sealed.conf',
      'drift-target': 'active',
      hook: 'success 0',
    });
    expect(entries).toEqual(['sealed+0.conf']);
  });

  it('has one try less, and is not blessed, when the boot did not verify', async () => {
    const { probe, entries } = await start(newEsp(), unhooked, 'sealed+3.conf');
    expect(probe).toMatchObject({
      'boot-complete': 'inactive',
      bless: 'inactive',
      'entries-before': 'sealed+2-1.conf',
      'drift-target': 'active',
    });
    expect(entries).toEqual(['sealed+2-1.conf']);
  });

  it('is marked bad at once when the boot did not verify, and the hook is there', async () => {
    const { probe, entries } = await start(newEsp(), altered, 'sealed+3.conf');
    expect(probe).toMatchObject({ 'boot-complete': 'inactive', bless: 'inactive', 'drift-target': 'active' });
    expect(entries).toEqual(['sealed+0-1.conf']);
  });

  function newEsp(): Esp {
    return makeEsp(image, mkdtempSync(join(place, 'esp-')));
  }

  /** Boots with this entry until the machine turned itself off; what its probe said, and what the entry is then. */
  async function start(
    esp: Esp,
    disk: Disk,
    entry: string,
    more: readonly string[] = [],
  ): Promise<{ probe: Record<string, string>; entries: string[] }> {
    const own = mkdtempSync(join(place, 'machine-'));
    esp.write(entry, [...kernelWords(image, disk), ...more]);
    const chip = await startChip(own);
    onTestFinished(chip.stop);
    const [health, collector] = [await freePort(), await freePort()];
    const machine = emulate({
      image,
      disk,
      place: own,
      chip: chip.socket,
      health,
      collector,
      esp: esp.file,
    });
    onTestFinished(machine.stop);
    await untilHere(machine, 'the machine is off', async () => !machine.isRunning());
    const probe = Object.fromEntries(machine.probe());
    expect(probe, machine.console()).toHaveProperty('end');
    return { probe, entries: esp.entries() };
  }
});

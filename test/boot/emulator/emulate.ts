import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { spawnMortal } from '../mortal.ts';
import { FIRMWARE } from '../requirements.ts';
import type { Disk } from './disk.ts';
import { COLLECTOR, GUEST, type MachineImage } from './machine-image.ts';

export type EmulatedMachine = {
  /** What the image's probe said so far, by its first word. */
  probe: () => ReadonlyMap<string, string>;
  /** What the kernel and systemd said on the console. */
  console: () => string;
  isRunning: () => boolean;
  stop: () => Promise<void>;
};

export type Emulation = {
  image: MachineImage;
  disk: Disk;
  place: string;
  /** The Unix socket of its TPM. */
  chip: string;
  /** Ports of this machine: where the guest's health port is to be, and where the collector is. */
  health: number;
  collector: number;
  /** A disk that the machine may write to, the third that it has. */
  third?: string;
  /** A disk with a boot loader, which the firmware starts; without one, the emulator starts the kernel itself. */
  esp?: string;
};

/** What the kernel is told: where the root is, and which trust set is meant. */
export function kernelWords(image: MachineImage, disk: Disk): string[] {
  return [
    'console=ttyS0',
    'quiet',
    'panic=-1',
    // The kernel's test of its timer can fail by chance where the emulator is given no processor for a while.
    'no_timer_check',
    `roothash=${disk.rootHash}`,
    `sealborn.trust=${image.pin}`,
    // The root is open already when systemd comes.
    'systemd.verity=no',
  ];
}

/** The kernel from this machine, or firmware that looks for one on the disk. */
function startedBy({ image, disk, place, esp }: Emulation): string[] {
  if (esp === undefined) {
    const append = kernelWords(image, disk).join(' ');
    return ['-kernel', image.kernel, '-initrd', image.initrd, '-append', append];
  }
  const variables = join(place, 'variables.fd');
  if (!existsSync(variables)) copyFileSync(FIRMWARE.variables, variables);
  return [
    '-drive',
    `if=pflash,format=raw,readonly=on,file=${FIRMWARE.code}`,
    '-drive',
    `if=pflash,format=raw,file=${variables}`,
    '-drive',
    `if=none,id=esp,format=raw,file=${esp}`,
    '-device',
    // Behind the other two disks, which the initrd knows by their order.
    'virtio-blk-pci,drive=esp,bootindex=0,addr=0x1e',
  ];
}

/**
 * Starts an emulated machine: no network but its health port and the collector, a TPM, disks that it can't write to.
 * Always by emulation of the processor: a /dev/kvm that opens may still be too slow to be of use.
 */
export function emulate(emulation: Emulation): EmulatedMachine {
  const { disk, place, chip, health, collector, third } = emulation;
  const [console, probe] = [join(place, 'console.log'), join(place, 'probe.log')];
  const network = [
    'user,id=net,restrict=on',
    `hostfwd=tcp:127.0.0.1:${health}-${GUEST}:9180`,
    `guestfwd=tcp:${COLLECTOR}-cmd:busybox nc 127.0.0.1 ${collector}`,
  ];
  const child = spawnMortal('qemu-system-x86_64', [
    // One processor: with two, each emulated by a thread of its own, threads of V8 crashed now and then in the guest.
    ...'-accel tcg,thread=single -M q35 -smp 1 -cpu Nehalem -m 1024 -nodefaults -display none -no-reboot'.split(
      ' ',
    ),
    ...startedBy(emulation),
    ...[disk.data, disk.hashes].flatMap((file) => [
      '-drive',
      `file=${file},format=raw,if=virtio,readonly=on`,
    ]),
    ...(third === undefined ? [] : ['-drive', `file=${third},format=raw,if=virtio`]),
    ...`-chardev socket,id=tpm,path=${chip} -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-crb,tpmdev=tpm0`.split(
      ' ',
    ),
    '-netdev',
    network.join(','),
    '-device',
    'virtio-net-pci,netdev=net,romfile=',
    '-device',
    'virtio-rng-pci',
    ...[console, probe].flatMap((file) => ['-serial', `file:${file}`]),
  ]);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => (said += part));
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, 'latin1') : '');
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    probe: () =>
      new Map(
        read(probe)
          .split(/\r?\n/)
          .slice(0, -1)
          .map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]),
      ),
    console: () => said + read(console).slice(-5000),
    isRunning,
    stop: async () => {
      if (!isRunning()) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

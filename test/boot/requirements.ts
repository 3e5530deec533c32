import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { hasProgram } from '../support/has-program.ts';

/** The firmware, and a first state of what it remembers, as Debian's package ovmf has them. */
export const FIRMWARE = {
  code: '/usr/share/OVMF/OVMF_CODE_4M.fd',
  variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
};

/** Debian packages, with a program of each that is looked for: what the boots in a container need on the machine that tests. */
const NEEDED = {
  mmdebstrap: 'mmdebstrap',
  'systemd-container': 'systemd-nspawn',
  'dpkg-dev': 'dpkg-deb',
  binutils: 'strip',
  iproute2: 'ip',
  git: 'git',
  'util-linux': 'nsenter',
};

/** Why nothing can be booted in a container here; undefined where it can. */
export const NO_CONTAINER: string | undefined = whyNot(NEEDED);

/** What the emulated machines need beside that. */
const EMULATION = {
  'busybox-static': 'busybox',
  'cryptsetup-bin': 'veritysetup',
  e2fsprogs: 'mkfs.ext4',
  'erofs-utils': 'mkfs.erofs',
  'qemu-system-x86': 'qemu-system-x86_64',
  'swtpm-tools': 'swtpm_setup',
};

/** Why no machine can be emulated here; undefined where one can. */
export const NO_EMULATOR: string | undefined =
  process.arch === 'x64' ? whyNot({ ...NEEDED, ...EMULATION }) : 'the emulated machine is an x86-64';

/** What machines with firmware and a boot loader need beside that; of ovmf, its file is looked for. */
const FIRMWARE_TOOLS = { dosfstools: 'mkfs.vfat', fdisk: 'sfdisk', mtools: 'mcopy' };

/** Why no machine can be started here by firmware and boot loader; undefined where one can. */
export const NO_FIRMWARE: string | undefined =
  NO_EMULATOR ?? whyNot(FIRMWARE_TOOLS) ?? (existsSync(FIRMWARE.code) ? undefined : 'not installed: ovmf');

/** What lacks, in words; the tests that need it skip and say so. */
export function whyNot(needed: Readonly<Record<string, string>>): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can build and boot an image';
  if (!existsSync('/etc/debian_version'))
    return 'images are built with the package sources of a Debian machine';
  const lacking = Object.entries(needed).flatMap(([name, program]) => (hasProgram(program) ? [] : [name]));
  if (lacking.length > 0) return `not installed: ${lacking.join(' ')}`;
  const namespaces = ['--mount', '--pid', '--net', '--fork', 'true'];
  return spawnSync('unshare', namespaces).status === 0 ? undefined : 'no namespaces can be made here';
}

/** For `describe.skipIf`: says the reason where there is one. */
export function skipped(why: string | undefined): boolean {
  if (why !== undefined) process.stderr.write(`skipped: ${why}\n`);
  return why !== undefined;
}

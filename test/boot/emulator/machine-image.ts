import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { PACKAGES, debianRoot } from '../debian-root.ts';
import { installPackage } from '../install.ts';
import { bakeTrust, newKeys, policyRepository, seal } from '../pipeline.ts';
import { makeInitrd } from './initrd.ts';
import { installKernel } from './kernel.ts';
import { VOUCHED_PROBE } from './vouched.ts';

/** Where the guest finds the collector, and under which address the host finds the guest. */
export const COLLECTOR = '10.0.2.100:9190';
export const GUEST = '10.0.2.15';

/** What an image has besides, or in the place of what stands here. */
export type Addition = {
  modules: readonly string[];
  files: Readonly<Record<string, string>>;
  /** Those of the files that are programs. */
  executable: readonly string[];
  enabled: readonly string[];
  /** Directories that the release lets change, and rules for what is mounted. */
  mutable: readonly string[];
  mounts: readonly string[];
};

const NOTHING: Addition = {
  modules: [],
  files: {},
  executable: [],
  enabled: [],
  mutable: [],
  mounts: [],
};

/** Over the root that can't be written lie file systems in memory; systemd mounts one over an empty machine-id. */
const MOUNTS = [
  '  mounts:',
  '    - { path: /, types: [erofs], require: [ro] }',
  '    - { path: /etc/machine-id, types: [tmpfs], optional: true }',
];

const FILES: Readonly<Record<string, string>> = {
  'etc/hostname': 'sealed\n',
  'etc/machine-id': '',
  'etc/fstab': 'tmpfs /var tmpfs mode=0755,nosuid,nodev 0 0\ntmpfs /tmp tmpfs mode=1777,nosuid,nodev 0 0\n',
  'etc/systemd/network/guest.network': `[Match]\nType=ether\n[Network]\nAddress=${GUEST}/24\n`,
  'etc/sealborn/agent.yaml': [
    `collector:\n  url: http://${COLLECTOR}\n  splaySeconds: 0\n  intervalSeconds: 10`,
    'tpm:\n  tcti: device:/dev/tpmrm0\n',
  ].join('\n'),
  'etc/systemd/system/probe.service': [
    '[Unit]\nAfter=boot-complete.target sealborn.target\n',
    '[Service]\nType=oneshot\nExecStart=/usr/lib/probe\n',
    '[Install]\nWantedBy=multi-user.target\n',
  ].join('\n'),
  // What happened inside, for the host: one line each on the second serial port.
  'usr/lib/probe': `#!/bin/sh
ask() { sealborn ask "$1" CreatePayment Ledger::main --context '{"amount": 1999}' >/dev/null; echo $?; }
{
  echo "boot-complete $(systemctl is-active boot-complete.target)"
  echo "gate $(systemctl show -P Result sealborn-verified.service): $(journalctl -b -o cat -u sealborn-verified.service | tr '\\n' '|')"
  echo "drift-target $(systemctl is-active sealborn-drift.target)"
  echo "permitted $(ask ServiceAccount::checkout-web)"
  echo "denied $(ask ServiceAccount::ledger-sync)"
  echo "status $(sealborn status --json | tr -d '\\n')"
  [ ! -b /dev/vdc ] || unshare --mount /usr/lib/probe-vouched
  echo "end"
} > /dev/ttyS1
`,
  'usr/lib/probe-vouched': VOUCHED_PROBE,
};

/** What would only cost the emulated processor time. */
const MASKED = ['e2scrub_reap.service', 'getty.target', 'systemd-logind.service'];

/** As docs/boot.md has it. */
const TPM_DROP_IN = `[Unit]
Wants=dev-tpmrm0.device
After=dev-tpmrm0.device
[Service]
SupplementaryGroups=tss
PrivateDevices=no
DeviceAllow=/dev/tpmrm0 rw
ExecPaths=/usr/bin
`;

export type MachineImage = { root: string; kernel: string; initrd: string; trust: string; pin: string };

/** A Debian with these packages beside the usual ones, and with sealborn's. */
export async function makeRoot(place: string, packages: readonly string[]): Promise<string> {
  const root = join(place, 'debian');
  mkdirSync(root);
  execFileSync('tar', ['-xpf', debianRoot([...PACKAGES, ...packages]).tar, '-C', root]);
  await installPackage(root);
  return root;
}

/**
 * Adds a kernel and the drop-in for the TPM to a copy of a Debian that has sealborn's package, and seals it. Its
 * directory is what a disk is made of.
 */
export function makeMachineImage(place: string, debian: string, addition: Addition = NOTHING): MachineImage {
  const root = join(place, 'root');
  execFileSync('cp', ['-a', '--reflink=auto', debian, root]);
  const { vmlinuz, modules } = installKernel(
    root,
    place,
    ['virtio_pci', 'virtio_blk', 'dm_verity', 'erofs'],
    ['virtio_net', ...addition.modules],
  );
  const initrd = makeInitrd(root, modules, place);
  for (const name of ['etc/hostname', 'etc/resolv.conf']) rmSync(join(root, name), { force: true });
  for (const [name, text] of Object.entries({ ...FILES, ...addition.files })) writeTo(join(root, name), text);
  for (const name of ['usr/lib/probe', 'usr/lib/probe-vouched', ...addition.executable])
    chmodSync(join(root, name), 0o755);
  for (const unit of ['sealborn-measure', 'sealborn']) {
    writeTo(join(root, `etc/systemd/system/${unit}.service.d/tpm.conf`), TPM_DROP_IN);
  }
  const systemctl = (...args: string[]): void =>
    void execFileSync('systemctl', ['--root', root, ...args], { stdio: 'ignore' });
  systemctl('enable', 'systemd-networkd.service', 'probe.service', ...addition.enabled);
  systemctl('add-wants', 'multi-user.target', 'boot-complete.target');
  systemctl('mask', ...MASKED);
  const keys = newKeys(join(place, 'release'));
  const pin = bakeTrust(root, keys);
  const measure = [...MOUNTS, ...addition.mounts];
  seal(root, policyRepository(join(place, 'policy'), measure, addition.mutable), 'production', keys);
  return { root, kernel: vmlinuz, initrd, trust: join(root, 'usr/share/sealborn/trust.yaml'), pin };
}

function writeTo(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

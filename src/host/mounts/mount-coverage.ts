import { readFileSync } from 'node:fs';

import { MAX_MOUNTS_SHOWN, type MountCoverage, type MountState } from '../../attestation/mount-state.ts';
import type { BytePath } from '../../base/byte-path.ts';
import { displayPath, escapeText } from '../../base/display.ts';
import type { Mount } from './mount-info.ts';
import { optionsOf } from './mount-options.ts';
import { type MountScope, placeKind } from './mount-scope.ts';
import { type MountTable, pathInTree } from './mount-table.ts';

/** Where the kernel says what a device is, and what it was started with. */
export type KernelFiles = { sys: string; cmdline: string };

export const KERNEL_FILES: KernelFiles = { sys: '/sys', cmdline: '/proc/cmdline' };

/** Parameters of the kernel command line that name a root hash (systemd-veritysetup-generator(8)). */
const HASH_PARAMETERS: Readonly<Record<string, string>> = { '': 'roothash', usr: 'usrhash' };

/** The mounts through which a tree is read, each with what stands behind it. */
export function mountCoverage(
  table: MountTable,
  root: BytePath,
  rules: MountScope,
  view: MountCoverage['view'],
  kernel: KernelFiles,
): MountCoverage {
  const own = table.at(root);
  const mounts: [BytePath, Mount][] = own === undefined ? [] : [['' as BytePath, own]];
  for (const mount of table.mounts) {
    const path = pathInTree(root, mount.path);
    if (path === undefined || path === '' || !table.isVisible(mount)) continue;
    if (placeKind(rules, path) === 'measured') mounts.push([path, mount]);
  }
  const isRunning = root === '';
  const shown = mounts
    .slice(0, MAX_MOUNTS_SHOWN)
    .map(([path, mount]) => stateOf(path, mount, isRunning ? HASH_PARAMETERS[path] : undefined, kernel));
  return { view, total: mounts.length, shown };
}

function stateOf(
  path: BytePath,
  mount: Mount,
  parameter: string | undefined,
  kernel: KernelFiles,
): MountState {
  const options = optionsOf(mount);
  // A type may come from a file system in user space, which names itself.
  const type = escapeText(mount.type).slice(0, 256);
  const state = { path: `/${displayPath(path)}`, type, device: mount.device, options: [...options] };
  if (!isVerity(mount.device, kernel)) {
    return { ...state, backing: options.has('ro') ? 'read-only' : 'writable' };
  }
  const hash = parameter === undefined ? undefined : claimedHash(parameter, kernel);
  return { ...state, backing: 'dm-verity', ...(hash === undefined ? {} : { claimedRootHash: hash }) };
}

/** Whether a device is a dm-verity target: device mapper's UUID says by which tool it was set up as what. */
function isVerity(device: string, { sys }: KernelFiles): boolean {
  return read(`${sys}/dev/block/${device}/dm/uuid`).startsWith('CRYPT-VERITY-');
}

function claimedHash(parameter: string, { cmdline }: KernelFiles): string | undefined {
  const values = read(cmdline)
    .trim()
    .split(/\s+/)
    .flatMap((word) => (word.startsWith(`${parameter}=`) ? [word.slice(parameter.length + 1)] : []));
  // Named twice, it is not known which one counted.
  const [value, ...more] = values;
  return value !== undefined && more.length === 0 && /^[0-9a-fA-F]{32,128}$/.test(value)
    ? value.toLowerCase()
    : undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // what the kernel does not say is not claimed
  }
}

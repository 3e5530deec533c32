import { isAtOrBelow } from '../base/image-path.ts';
import type { MeasureRules } from '../base/measure-rules.ts';
import type { MountRule } from '../base/mount-rules.ts';
import type { MutableArea, MutableFile } from '../base/mutable-rules.ts';

/** What a preset adds. Each entry is explained in docs/presets.md, which a test holds to this list. */
export type Preset = { mutable: MutableArea[]; mutableFiles: MutableFile[]; mounts: MountRule[] };

const area = (path: string, ...allow: MutableArea['allow']): MutableArea => ({ path, allow });
const file = (path: string, mode: string, link = false): MutableFile => ({
  path,
  mode,
  uid: 0,
  gid: 0,
  link,
});
const mount = (path: string, type: string, ...require: MountRule['require']): MountRule => ({
  path,
  types: [type],
  require,
  forbid: [],
  optional: false,
});

/** As sealborn.yaml names them under `presets`. */
export type PresetName = 'api-file-systems' | 'debian-first-boot' | 'cloud-init';

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  'api-file-systems': {
    mutable: [area('/dev', 'devices'), area('/proc'), area('/run'), area('/sys'), area('/tmp')],
    mutableFiles: [],
    mounts: [
      mount('/dev', 'devtmpfs', 'nosuid'),
      mount('/proc', 'proc', 'nosuid', 'nodev', 'noexec'),
      mount('/run', 'tmpfs', 'nosuid', 'nodev'),
      mount('/sys', 'sysfs', 'nosuid', 'nodev', 'noexec'),
    ],
  },
  'debian-first-boot': {
    mutable: [],
    mutableFiles: [
      file('/etc/adjtime', '0644'),
      file('/etc/hostname', '0644'),
      file('/etc/machine-id', '0644'),
      file('/etc/resolv.conf', '0644', true),
      file('/etc/ssh/ssh_host_ecdsa_key', '0600'),
      file('/etc/ssh/ssh_host_ecdsa_key.pub', '0644'),
      file('/etc/ssh/ssh_host_ed25519_key', '0600'),
      file('/etc/ssh/ssh_host_ed25519_key.pub', '0644'),
      file('/etc/ssh/ssh_host_rsa_key', '0600'),
      file('/etc/ssh/ssh_host_rsa_key.pub', '0644'),
      file('/var/lib/dbus/machine-id', '0644', true),
      file('/var/lib/systemd/random-seed', '0600'),
    ],
    mounts: [],
  },
  'cloud-init': {
    mutable: [area('/var/lib/cloud')],
    mutableFiles: [
      file('/etc/hosts', '0644'),
      file('/etc/netplan/50-cloud-init.yaml', '0644'),
      file('/etc/network/interfaces.d/50-cloud-init', '0644'),
      file('/var/log/cloud-init-output.log', '0640'),
      file('/var/log/cloud-init.log', '0640'),
    ],
    mounts: [],
  },
};

/**
 * The rules with presets written out: nothing of a preset is known to anybody but the build. What a person wrote
 * for a path stands before what a preset has for it; what lies in a mutable directory already, or outside of the
 * measured roots, is left out.
 */
export function withPresets(rules: MeasureRules, names: readonly PresetName[]): MeasureRules {
  const presets = names.map((name) => PRESETS[name]);
  const isMeasured = ({ path }: { path: string }): boolean =>
    rules.roots.some((root) => isAtOrBelow(path, root));
  const mutable = added(rules.mutable, presets.flatMap((preset) => preset.mutable).filter(isMeasured));
  const isFree = ({ path }: { path: string }): boolean =>
    !mutable.some((other) => isAtOrBelow(path, other.path)) &&
    !rules.absent.includes(path) &&
    !rules.roots.includes(path);
  const files = presets.flatMap((preset) => preset.mutableFiles).filter(isMeasured);
  const mounts = presets.flatMap((preset) => preset.mounts).filter(isMeasured);
  return {
    ...rules,
    mutable,
    mutableFiles: added(rules.mutableFiles, files.filter(isFree)),
    mounts: added(rules.mounts, mounts),
  };
}

/** Those of `more` at whose path nothing stands yet, after what there is. */
function added<T extends { path: string }>(rules: readonly T[], more: readonly T[]): T[] {
  const out = [...rules];
  for (const rule of more) if (!out.some(({ path }) => path === rule.path)) out.push(rule);
  return out;
}

import { escapeText } from '../../base/display.ts';
import { MOUNT_OPTIONS, type MountOption } from '../../base/mount-rules.ts';
import type { Mount } from './mount-info.ts';

/**
 * The options that hold on a mount: a mount is read-only if it or its file system is, and writable if neither
 * is; the others are said of the mount alone.
 */
export function optionsOf({ options, superOptions }: Mount): Set<MountOption> {
  const held = new Set(MOUNT_OPTIONS.filter((option) => options.includes(option)));
  const readOnly = held.has('ro') || superOptions.includes('ro');
  held.delete(readOnly ? 'rw' : 'ro');
  held.add(readOnly ? 'ro' : 'rw');
  return held;
}

/** A mount in words, for a finding. */
export function describeMount(mount: Mount): string {
  const { type, device, root, source } = mount;
  return (
    `mount type=${escapeText(type)} device=${device} root=${escapeText(`/${root.replace(/^\/+/, '')}`)} ` +
    `source=${escapeText(source)} options=${describeOptions(optionsOf(mount))}`
  );
}

/** `ro,nosuid`: in one order, so that the same options are the same words. */
export function describeOptions(options: ReadonlySet<MountOption>): string {
  return MOUNT_OPTIONS.filter((option) => options.has(option)).join(',');
}

import { imagePath, isAtOrBelow } from './image-path.ts';
import { type Reader, bool, list, mapped, oneOf, optional, record, text } from './shape.ts';

/** Options of a mount that a rule can speak of, as mountinfo writes them (proc_pid_mountinfo(5), mount(8)). */
export const MOUNT_OPTIONS = ['ro', 'rw', 'nosuid', 'nodev', 'noexec', 'nosymfollow'] as const;
export type MountOption = (typeof MOUNT_OPTIONS)[number];

/** What may, or must, be mounted at one path. */
export type MountRule = {
  /** Where, as seen inside the image. */
  path: string;
  /** File system types that may be mounted there; any where empty. `autofs` too, for an automount. */
  types: string[];
  /** Options that the mount must have; `ro` is met by the mount or by its file system. */
  require: MountOption[];
  /** Options that it must not have. */
  forbid: MountOption[];
  /** Whether nothing may be mounted there too. */
  optional: boolean;
  /** The root hash that dm-verity must have been set up with, in lower-case hexadecimal. */
  rootHash?: string;
};

/**
 * Overlays that systemd-sysext(8) puts over /usr and /opt and systemd-confext over /etc. What they show is
 * measured all the same; this says only that the overlay may be there.
 */
export const EXTENSION_PATHS = { sysext: ['/usr', '/opt'], confext: ['/etc'] } as const;
export type Extension = keyof typeof EXTENSION_PATHS;

/** Reads a kind of system extension. */
export const extension: Reader<Extension> = oneOf('sysext', 'confext');

/** A file system's type, with its subtype where it has one: `ext4`, `fuse.sshfs`. */
export const fileSystemType: Reader<string> = text({
  max: 64,
  pattern: /^[a-z0-9][a-z0-9._-]*$/,
  is: 'a file system type, such as "ext4"',
});

/** Where the kernel command line can name a root hash: `roothash=` and `usrhash=` (systemd-veritysetup-generator(8)). */
const HASHED_PATHS: readonly string[] = ['/', '/usr'];

/** Reads a root hash of dm-verity, by SHA-256. */
export const rootHash: Reader<string> = text({
  max: 64,
  pattern: /^[0-9a-f]{64}$/,
  is: 'a root hash: 64 lower-case hexadecimal digits',
});

/** Words of fstab(5) and mount(8) that no mount table ever shows, and what to write in their place. */
const NEVER_SHOWN: Readonly<Record<string, string>> = {
  suid: 'forbid "nosuid"',
  dev: 'forbid "nodev"',
  exec: 'forbid "noexec"',
  symfollow: 'forbid "nosymfollow"',
  defaults: 'name the options one by one',
};

/** Reads one option; says what to write instead of a word that can't be met. */
export const mountOption: Reader<MountOption> = mapped(text({ max: 64 }), (word) => {
  if ((MOUNT_OPTIONS as readonly string[]).includes(word)) return word as MountOption;
  const instead = Object.hasOwn(NEVER_SHOWN, word) ? NEVER_SHOWN[word] : undefined;
  throw new Error(
    instead === undefined
      ? `must be one of ${MOUNT_OPTIONS.join(', ')}, not ${JSON.stringify(word)}`
      : `can't be ${JSON.stringify(word)}, which no mount table shows; ${instead}`,
  );
});

/** Reads a mount rule of a signed release: every field stands there. */
export const mountRule: Reader<MountRule> = record({
  path: imagePath,
  types: list(fileSystemType, { max: 32 }),
  require: list(mountOption, { max: MOUNT_OPTIONS.length }),
  forbid: list(mountOption, { max: MOUNT_OPTIONS.length }),
  optional: bool,
  rootHash: optional(rootHash),
});

/** Why a rule's root hash could never be met; undefined where it has none, or it can. */
export function whyNoRootHash(
  { path, rootHash: hash, optional: isOptional }: MountRule,
  bundle: string,
  mounts: readonly MountRule[],
): string | undefined {
  if (hash === undefined) return undefined;
  if (!HASHED_PATHS.includes(path)) return `a root hash is known of ${HASHED_PATHS.join(' and ')} alone`;
  if (isOptional) return 'where nothing is mounted there is no root hash';
  // The release would have to name a hash that is made of the release.
  const below = mounts.filter((other) => other.path !== path && isAtOrBelow(other.path, path));
  const isApart = below.some((other) => !other.optional && isAtOrBelow(bundle, other.path));
  if (isAtOrBelow(bundle, path) && !isApart) return `the bundle itself lies in "${path}"`;
  return undefined;
}

/** Why no mount could ever meet the rule; undefined where one can. */
export function contradictionIn({ require, forbid }: MountRule): string | undefined {
  const both = require.find((option) => forbid.includes(option));
  if (both !== undefined) return `requires and forbids "${both}"`;
  if (require.includes('ro') && require.includes('rw')) return 'requires "ro" and "rw"';
  if (forbid.includes('ro') && forbid.includes('rw')) return 'forbids "ro" and "rw"';
  return undefined;
}

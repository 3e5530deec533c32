import { type Reader, list, oneOf, optional, record, text, whole } from '../base/shape.ts';

/**
 * What stands behind a mount, the strongest first. `dm-verity`: the kernel refuses every block that is not as it
 * was when the root hash was made. `read-only`: whoever may remount it, or write to its device, can change it.
 */
export const BACKINGS = ['dm-verity', 'read-only', 'writable'] as const;
export type Backing = (typeof BACKINGS)[number];

/** One mount over, under or in what is measured. */
export type MountState = {
  /** As seen inside the image, escaped for display. */
  path: string;
  type: string;
  /** `major:minor` */
  device: string;
  /** Of ro, rw, nosuid, nodev, noexec, nosymfollow, those that hold. */
  options: string[];
  backing: Backing;
  /**
   * The root hash that the kernel command line names for this mount (`roothash=`, `usrhash=`). It is what the boot
   * loader asked for, and was not read out of the device: only a process that may configure devices can do that.
   */
  claimedRootHash?: string;
};

/** Mounts that what is measured is read through. */
export type MountCoverage = {
  /** `init`: as PID 1 sees them. `own`: as the agent does, since the table of PID 1 can't be read. */
  view: 'init' | 'own';
  /** All of them; `shown` are the first. */
  total: number;
  shown: MountState[];
};

/** Mounts that a verdict shows. */
export const MAX_MOUNTS_SHOWN = 32;

/** Reads mounts in a verdict; `open` as `reportedVerdictShape` says. */
export function mountCoverageReader(options: { open: boolean }): Reader<MountCoverage> {
  const state: Reader<MountState> = record(
    {
      path: text({ max: 65_536 }),
      type: text({ min: 0, max: 256 }),
      device: text({ max: 64 }),
      options: list(text({ max: 64 }), { max: 16 }),
      backing: oneOf(...BACKINGS),
      claimedRootHash: optional(text({ max: 256 })),
    },
    options,
  );
  return record(
    { view: oneOf('init', 'own'), total: whole(), shown: list(state, { max: MAX_MOUNTS_SHOWN }) },
    options,
  );
}

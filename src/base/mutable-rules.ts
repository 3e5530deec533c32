import { imagePath } from './image-path.ts';
import { type Reader, bool, list, oneOf, record, text, whole } from './shape.ts';

/** What may not appear in a mutable area unless its release allows it: each gives power to whoever can write there. */
export const BOUNDS = ['setuid', 'setgid', 'capabilities', 'devices'] as const;
export type Bound = (typeof BOUNDS)[number];

/** A directory whose content may change, within bounds. */
export type MutableArea = {
  path: string;
  /** Bounds that do not hold here: `devices` in /dev, say. */
  allow: Bound[];
};

export const bound: Reader<Bound> = oneOf(...BOUNDS);

/** Reads a mutable area of a signed release: every field stands there. */
export const mutableArea: Reader<MutableArea> = record({
  path: imagePath,
  allow: list(bound, { max: BOUNDS.length }),
});

/** A file in a measured directory that may change, be missing or appear: a host's key, say. Its content is free. */
export type MutableFile = {
  path: string;
  /** The most that its mode may have, as four octal digits; never setuid, setgid or sticky. */
  mode: string;
  uid: number;
  gid: number;
  /** Whether it may be a symbolic link too, to anywhere. */
  link: boolean;
};

/** A mode without setuid, setgid and sticky bits, as four octal digits. */
export const plainMode: Reader<string> = text({
  pattern: /^0[0-7]{3}$/,
  is: 'a mode such as "0644", in quotes',
});
/** A user's or a group's number; the last of 32 bits means "none" to the kernel. */
export const ownerId: Reader<number> = whole(0, 2 ** 32 - 2);

/** Reads a mutable file of a signed release: every field stands there. */
export const mutableFile: Reader<MutableFile> = record({
  path: imagePath,
  mode: plainMode,
  uid: ownerId,
  gid: ownerId,
  link: bool,
});

import { imagePath } from './image-path.ts';
import { type Reader, list, oneOf, record } from './shape.ts';

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

import { type Reader, list, mapped, record, text } from './shape.ts';

/**
 * What of an image is measured, as the signed release says it. All paths are absolute, as seen inside the
 * image, normalised: no trailing slash, no empty, `.` or `..` component.
 */
export type MeasureRules = {
  /** Closed worlds: what lies below one of these and is not in the manifest must not exist. */
  roots: string[];
  /**
   * Directories whose content may change. The directory itself (type, mode, owner, xattrs) is measured, what
   * is below it is not.
   */
  mutable: string[];
  /** Paths that must not exist, said on their own so that a finding can name the rule. */
  absent: string[];
  /**
   * The directory that holds the bundle. It can't be in its own manifest; below it only the three files of
   * the very bundle that was verified may stand.
   */
  bundle: string;
};

/** Where a bundle lies in an image unless a release says otherwise (contracts: "On disk in an image"). */
export const DEFAULT_BUNDLE_DIRECTORY = '/usr/share/sealborn/bundle';

/** An absolute, normalised path of at most 4,095 bytes (PATH_MAX) without control characters. */
export const imagePath: Reader<string> = mapped(
  text({ max: 4095, pattern: /^\/[^\u0000-\u001f\u007f]*$/, is: 'an absolute path' }),
  (path) => {
    if (
      path !== '/' &&
      path
        .slice(1)
        .split('/')
        .some((part) => part === '' || part === '.' || part === '..')
    ) {
      throw new Error('must be a normalised path: no "//", ".", ".." or trailing "/"');
    }
    return path;
  },
);

/** Reads the rules out of a release's predicate. */
export const measureRules: Reader<MeasureRules> = record({
  roots: list(imagePath, { min: 1, max: 64 }),
  mutable: list(imagePath, { max: 1024 }),
  absent: list(imagePath, { max: 1024 }),
  bundle: imagePath,
});

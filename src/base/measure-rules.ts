import { imagePath, isAtOrBelow } from './image-path.ts';
import {
  EXTENSION_PATHS,
  type Extension,
  type MountRule,
  contradictionIn,
  extension,
  mountRule,
  whyNoRootHash,
} from './mount-rules.ts';
import { type MutableArea, type MutableFile, mutableArea, mutableFile } from './mutable-rules.ts';
import { type FieldPath, type Reader, bool, list, number, record } from './shape.ts';

/**
 * What of an image is measured, as the signed release says it. All paths are absolute, as seen inside the
 * image, normalised: no trailing slash, no empty, `.` or `..` component.
 */
export type MeasureRules = {
  /** Closed worlds: what lies below one of these and is not in the manifest must not exist. */
  roots: string[];
  /**
   * Directories whose content may change. The directory itself (type, mode, owner, xattrs) is measured, what
   * is below it is not, but kept within bounds.
   */
  mutable: MutableArea[];
  /** Single files in measured directories that may change, be missing or appear. They are not in the manifest. */
  mutableFiles: MutableFile[];
  /** Paths that must not exist, said on their own so that a finding can name the rule. */
  absent: string[];
  /**
   * The directory that holds the bundle. It can't be in its own manifest; below it only the three files of
   * the very bundle that was verified may stand.
   */
  bundle: string;
  /**
   * What may, or must, be mounted. Over or under what is measured nothing else may be; a mutable directory is
   * free for mounts, and a rule says what one there must be like.
   */
  mounts: MountRule[];
  /** System extensions that may be merged; by default none. */
  extensions: Extension[];
  rehash: RehashRule;
  /** Whether the manifest holds the fs-verity digest of each file, so that a kernel which has it can vouch. */
  fsVerity: boolean;
};

/** How fast everything is read again while the machine runs, past the page cache. */
export type RehashRule = {
  /** Everything once in so many hours, as far as `corePercent` allows. */
  hours: number;
  /** Of one core, at most; waiting for the disk counts as work. */
  corePercent: number;
};

/** A day is what a change below the file system may take to be found; 5% of a core is 180 s of work an hour. */
export const DEFAULT_REHASH: RehashRule = { hours: 24, corePercent: 5 };

/** At most a month, and never nothing: no release can turn it off. */
export const rehashHours: Reader<number> = number(0.001, 720);
export const rehashCorePercent: Reader<number> = number(0.1, 100);

/** Where a bundle lies in an image unless a release says otherwise (contracts: "On disk in an image"). */
export const DEFAULT_BUNDLE_DIRECTORY = '/usr/share/sealborn/bundle';

/** Reads the rules out of a release's predicate. */
export const measureRules: Reader<MeasureRules> = meaningful(
  record({
    roots: list(imagePath, { min: 1, max: 64 }),
    mutable: list(mutableArea, { max: 1024 }),
    mutableFiles: list(mutableFile, { max: 1024 }),
    absent: list(imagePath, { max: 1024 }),
    bundle: imagePath,
    mounts: list(mountRule, { max: 256 }),
    extensions: list(extension, { max: 2 }),
    rehash: record({ hours: rehashHours, corePercent: rehashCorePercent }),
    fsVerity: bool,
  }),
);

/** The same rules, with every rule refused that can't mean anything: nothing in a release is without effect. */
export function meaningful(reader: Reader<MeasureRules>): Reader<MeasureRules> {
  return (value, path, problems) => {
    const before = problems.length;
    const rules = reader(value, path, problems);
    if (problems.length > before) return rules;
    for (const problem of meaningless(rules)) {
      problems.push({ path: [...path, ...problem.path], message: problem.message });
    }
    return rules;
  };
}

function* meaningless(rules: MeasureRules): Generator<{ path: FieldPath; message: string }> {
  const seen = new Set<string>();
  for (const [index, rule] of rules.mounts.entries()) {
    const path = ['mounts', index];
    if (seen.has(rule.path)) yield { path, message: `is a second rule for "${rule.path}"` };
    seen.add(rule.path);
    const contradiction = contradictionIn(rule);
    if (contradiction !== undefined) yield { path, message: `${contradiction}: nothing can be mounted so` };
    const hashless = whyNoRootHash(rule, rules.bundle, rules.mounts);
    if (hashless !== undefined) yield { path, message: `can't have a root hash: ${hashless}` };
    const message = withoutEffect(rule, rules);
    if (message !== undefined) yield { path, message: `has no effect: ${message}` };
  }
  const files = new Set<string>();
  for (const [index, { path: file }] of rules.mutableFiles.entries()) {
    const path = ['mutableFiles', index];
    if (files.has(file)) yield { path, message: `is a second rule for "${file}"` };
    files.add(file);
    if (rules.absent.includes(file)) yield { path, message: `"${file}" is declared absent too` };
    const message = whyFileIsNone(file, rules);
    if (message !== undefined) yield { path, message: `has no effect: ${message}` };
  }
  for (const [index, name] of rules.extensions.entries()) {
    const path = ['extensions', index];
    if (rules.extensions.indexOf(name) !== index) yield { path, message: 'stands there twice' };
    const over: readonly string[] = EXTENSION_PATHS[name];
    if (!over.some((place) => rules.roots.some((root) => touch(place, root)))) {
      yield { path, message: `has no effect: none of ${over.join(', ')} is measured` };
    }
  }
}

function whyFileIsNone(file: string, { roots, mutable, bundle }: MeasureRules): string | undefined {
  const area = mutable.find(({ path }) => isAtOrBelow(file, path));
  if (area !== undefined) return `it lies in the mutable directory "${area.path}"`;
  if (isAtOrBelow(file, bundle)) return 'it lies in the directory of the bundle';
  const isBelowRoot = roots.some((root) => root !== file && isAtOrBelow(file, root));
  return isBelowRoot ? undefined : `"${file}" is not below a measured root`;
}

function withoutEffect(rule: MountRule, { roots, mutable }: MeasureRules): string | undefined {
  const { path, types, require, forbid, optional } = rule;
  if (path === '/' && optional) return 'something is always mounted on "/"';
  const isFree = mutable.some((area) => isAtOrBelow(path, area.path));
  if (isFree && optional && types.length + require.length + forbid.length === 0) {
    return `"${path}" is mutable, where anything may be mounted`;
  }
  if (isFree || roots.some((root) => touch(path, root))) return undefined;
  return `"${path}" is not over or under a measured root, nor in a mutable directory`;
}

/** Whether one path is at, above or below the other. */
function touch(a: string, b: string): boolean {
  return isAtOrBelow(a, b) || isAtOrBelow(b, a);
}

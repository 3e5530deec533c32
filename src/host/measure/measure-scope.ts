import { type BytePath, bytePathOfText, isWithin, parentPath } from '../../base/byte-path.ts';
import type { MeasureRules } from '../../base/measure-rules.ts';
import type { MutableFile } from '../../base/mutable-rules.ts';
import { type PackedTree, TYPE_DIR, TYPE_LINK, findPath } from '../../manifest/packed-tree.ts';
import { HostError } from '../host-error.ts';
import { SCOPE_MUTABLE, SCOPE_OPEN, SCOPE_OPTIONAL } from './measure-job.ts';

/** The rules of a release in the form of paths below the root. */
export type Scope = {
  roots: BytePath[];
  mutable: BytePath[];
  /** Mutable files, by path. */
  files: ReadonlyMap<BytePath, MutableFile>;
  absent: BytePath[];
  bundle: BytePath;
};

/**
 * What a manifest lists. Under each measured root: everything, a closed world. Above a root: the directories
 * that lead to it, themselves alone (whoever can replace one can replace what is below), with whatever else
 * they hold not looked at. A mutable directory and the bundle's: itself, nothing below.
 */
export function scopeOf(rules: MeasureRules): Scope {
  return {
    roots: rules.roots.map(bytePathOfText),
    mutable: rules.mutable.map(({ path }) => bytePathOfText(path)),
    files: new Map(rules.mutableFiles.map((file) => [bytePathOfText(file.path), file])),
    absent: rules.absent.map(bytePathOfText),
    bundle: bytePathOfText(rules.bundle),
  };
}

/** Whether all that lies in the directory is measured. */
export function isClosed(scope: Scope, directory: BytePath): boolean {
  return (
    scope.roots.some((root) => isWithin(directory, root)) &&
    !scope.mutable.some((path) => isWithin(directory, path)) &&
    directory !== scope.bundle
  );
}

/** Whether the bundle's directory lies where everything is measured, so that it must be listed. */
export function isBundleMeasured(scope: Scope): boolean {
  return scope.bundle !== '' && isClosed(scope, parentPath(scope.bundle));
}

/**
 * The `SCOPE_` bits of each entry. With `bundleOptional`, the bundle's directory may be missing, and so may
 * those above it that lead to nothing else.
 * @throws HostError `not-found` where the tree lists nothing at a measured root: it is not of these rules;
 * `rule-unusable` where it lists a link there
 */
export function scopeBits(tree: PackedTree, scope: Scope, bundleOptional: boolean): Uint8Array {
  const bits = new Uint8Array(new SharedArrayBuffer(tree.count));
  bits.fill(SCOPE_OPEN);
  for (const root of scope.roots) {
    const index = findPath(tree, root);
    if (index < 0) {
      throw new HostError('not-found', `the manifest lists nothing at the measured root "/${root}"`, {
        hint: 'Its release was built with other rules. Build it again.',
      });
    }
    if (tree.type[index] === TYPE_LINK) {
      // The build refuses it; a bundle of an older build must not pass for a measured tree.
      throw new HostError('rule-unusable', `the measured root "/${root}" is a link in the manifest`, {
        hint: 'What it points to is not measured. Build the release again, naming the root without links.',
      });
    }
    bits.fill(0, index, tree.end[index]);
  }
  for (const path of scope.mutable) {
    const index = findPath(tree, path);
    if (index < 0) continue;
    bits.fill(SCOPE_OPEN, index, tree.end[index]);
    bits[index] = SCOPE_OPEN | SCOPE_MUTABLE;
  }
  const bundle = findPath(tree, scope.bundle);
  if (bundle > 0 && tree.type[bundle] === TYPE_DIR) {
    bits[bundle] = SCOPE_OPEN;
    if (bundleOptional) markOptional(tree, bits, bundle);
  }
  return bits;
}

/** Marks a directory, and those above it that hold nothing but the way to it. */
function markOptional(tree: PackedTree, bits: Uint8Array, directory: number): void {
  for (let at = directory, size = 1; at > 0; at = tree.parent[at] ?? 0, size += 1) {
    if ((tree.end[at] ?? 0) - at !== size) return;
    bits[at] = (bits[at] ?? 0) | SCOPE_OPTIONAL;
  }
}

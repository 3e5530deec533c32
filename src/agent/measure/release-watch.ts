import { realpath } from 'node:fs/promises';
import { join } from 'node:path';

import { bytePathOfText } from '../../base/byte-path.ts';
import { sha256 } from '../../base/digest.ts';
import { messageOf } from '../../base/errors.ts';
import { type Finding, type FindingKind, finding } from '../../base/finding.ts';
import { isAtOrBelow } from '../../base/image-path.ts';
import type { MeasureRules } from '../../base/measure-rules.ts';
import { BundleError } from '../../bundle/bundle-error.ts';
import { BUNDLE_FILE_NAMES } from '../../bundle/bundle-files.ts';
import { MAX_TRUST_BYTES } from '../../bundle/trust.ts';
import { readBundleDirectory } from '../../host/bundle-directory.ts';
import { readFileBounded } from '../../host/files.ts';
import { HostError } from '../../host/host-error.ts';
import type { LoadedRelease } from '../../host/load-release.ts';

/** Looks whether bundle and trust set are still the bytes that were verified at start; gives what differs. */
export type ReleaseWatch = (at: string) => Promise<Finding[]>;

/**
 * In an image, bundle and trust set lie in the measured tree and every sweep sees them. Where they lie outside
 * of it (a tree mounted elsewhere, a mutable area, the demo) they are read again at each sweep.
 */
export async function createReleaseWatch(
  place: { root: string; bundle: string; trust: string },
  { verified, trust }: LoadedRelease,
): Promise<ReleaseWatch> {
  const {
    predicate: { measure },
    digests,
  } = verified;
  const trustDigest = trust.digest;
  const bundleIsSwept = (await imagePathOf(place.root, place.bundle)) === measure.bundle;
  const trustIsSwept = isMeasured(await imagePathOf(place.root, place.trust), measure);
  return async (at) => [
    ...(trustIsSwept ? [] : await checkTrust(place.trust, trustDigest, at)),
    ...(bundleIsSwept && isInRoots(measure.bundle, measure)
      ? []
      : await checkBundle(place.bundle, digests, at)),
  ];
}

/** The path as seen inside the image; undefined where it is outside, or can't be resolved. */
async function imagePathOf(root: string, path: string): Promise<string | undefined> {
  try {
    const [realRoot, real] = await Promise.all([realpath(root), realpath(path)]);
    if (realRoot === '/') return real;
    return real.startsWith(`${realRoot}/`) ? real.slice(realRoot.length) : undefined;
  } catch {
    return undefined;
  }
}

function isMeasured(path: string | undefined, rules: MeasureRules): boolean {
  return (
    path !== undefined &&
    !rules.mutableFiles.some((file) => file.path === path) &&
    isInRoots(path, rules) &&
    ![...rules.mutable.map((area) => area.path), rules.bundle].some((other) => isAtOrBelow(path, other))
  );
}

function isInRoots(path: string, rules: MeasureRules): boolean {
  return (
    rules.roots.some((root) => isAtOrBelow(path, root)) &&
    !rules.mutable.some((area) => isAtOrBelow(path, area.path))
  );
}

async function checkTrust(path: string, expected: string, at: string): Promise<Finding[]> {
  try {
    const actual = sha256(await readFileBounded(path, MAX_TRUST_BYTES));
    return actual === expected ? [] : [modified(path, expected, actual, at)];
  } catch (cause) {
    return [unusable(path, kindOf(cause), cause, at)];
  }
}

async function checkBundle(
  directory: string,
  digests: LoadedRelease['verified']['digests'],
  at: string,
): Promise<Finding[]> {
  try {
    const files = await readBundleDirectory(directory);
    return BUNDLE_FILE_NAMES.flatMap((name) => {
      const expected = digests.get(name) ?? '';
      const actual = sha256(files[name]);
      return actual === expected ? [] : [modified(join(directory, name), expected, actual, at)];
    });
  } catch (cause) {
    return [unusable(directory, kindOf(cause), cause, at)];
  }
}

function modified(path: string, expected: string, actual: string, at: string): Finding {
  return finding(bytePathOfText(path), 'modified', `sha256=${expected}`, `sha256=${actual}`, at);
}

function unusable(path: string, kind: FindingKind, cause: unknown, at: string): Finding {
  return finding(bytePathOfText(path), kind, 'as it was at start', messageOf(cause), at);
}

function kindOf(cause: unknown): FindingKind {
  if (!(cause instanceof BundleError || cause instanceof HostError)) return 'unreadable';
  switch (cause.code) {
    case 'bundle-file-missing':
    case 'not-found':
      return 'missing';
    case 'bundle-file-unexpected':
      return 'unexpected';
    case 'bundle-file-irregular':
    case 'not-a-file':
    case 'not-a-directory':
      return 'type';
    case 'bundle-file-too-large':
    case 'file-too-large':
      return 'modified';
    default:
      return 'unreadable';
  }
}

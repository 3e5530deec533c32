import { type BytePath, joinPath } from '../../base/byte-path.ts';
import type { Sha256 } from '../../base/digest.ts';
import { type Finding, finding } from '../../base/finding.ts';
import { BUNDLE_FILE_LIMITS, BUNDLE_FILE_NAMES, type BundleFileName } from '../../bundle/bundle-files.ts';
import { describeContent, unexpectedFinding } from '../../manifest/compare.ts';
import { TYPE_FILE } from '../../manifest/packed-tree.ts';
import { hasher, lister, nameAddress, stat } from './instruments.ts';
import { ELOOP, ENOENT, ENOTDIR, OPEN_FILE, close, errno, errnoName, openat } from '../kernel/linux.ts';
import { openBelow } from './open-below.ts';
import { entryOfStat, readEntry } from './read-entry.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/** Digests of the three files of the bundle that was verified. */
export type BundleDigests = ReadonlyMap<BundleFileName, Sha256>;

/** A directory with more names than this is one finding; the bundle has three. */
const MAX_NAMES = 100;

/**
 * Checks the directory that holds the bundle: below it only the three files may stand, each a regular file with
 * the digest that was verified. `mayBeEmpty`: a tree into which the bundle is not installed yet is good too.
 * A directory that can't be opened gives nothing here: it is in the manifest, and found missing there.
 */
export function checkBundleArea(
  root: number,
  path: BytePath,
  digests: BundleDigests,
  mayBeEmpty: boolean,
  at: string,
): Finding[] {
  const directory = openBelow(root, path);
  if (directory < 0) {
    const error = -directory;
    const reported = error === ENOENT || error === ENOTDIR || error === ELOOP;
    return reported ? [] : [finding(path, 'unreadable', 'type=dir', errnoName(error), at)];
  }
  try {
    return checkDirectory(directory, path, digests, mayBeEmpty, at);
  } finally {
    close(directory);
  }
}

function checkDirectory(
  directory: number,
  path: BytePath,
  digests: BundleDigests,
  mayBeEmpty: boolean,
  at: string,
): Finding[] {
  const names: string[] = [];
  const error = lister.list(directory, (bytes, from, to) => {
    if (names.length < MAX_NAMES) names.push(bytes.toString('latin1', from, to));
  });
  if (error !== 0) return [finding(path, 'unreadable', 'type=dir', errnoName(error), at)];
  if (names.length === 0 && mayBeEmpty) return [];
  const findings: Finding[] = [];
  const expected = new Set<string>(BUNDLE_FILE_NAMES);
  for (const name of names.filter((name) => !expected.has(name)).sort()) {
    const below = joinPath(path, name);
    const found = readEntry(directory, nameAddress(name), name, below);
    if (typeof found !== 'number') findings.push(unexpectedFinding(found, at));
    else findings.push(finding(below, 'unexpected', '', errnoName(found), at));
  }
  for (const name of BUNDLE_FILE_NAMES) {
    findings.push(...checkFile(directory, joinPath(path, name), name, digests.get(name), at));
  }
  return findings;
}

function checkFile(
  directory: number,
  path: BytePath,
  name: BundleFileName,
  digest: Sha256 | undefined,
  at: string,
): Finding[] {
  const expected = `type=file sha256=${digest ?? '?'}`;
  const before = stat.at(directory, nameAddress(name));
  if (before === ENOENT) return [finding(path, 'missing', expected, 'nothing', at)];
  if (before !== 0) return [finding(path, 'unreadable', expected, errnoName(before), at)];
  if (stat.type !== TYPE_FILE) return [finding(path, 'type', expected, `type=${entryOfStat(path).type}`, at)];
  const opened = openat(directory, nameAddress(name), OPEN_FILE);
  if (opened < 0) return [finding(path, 'unreadable', expected, errnoName(errno()), at)];
  try {
    return compareContent(opened, path, name, digest, expected, at);
  } finally {
    close(opened);
  }
}

function compareContent(
  opened: number,
  path: BytePath,
  name: BundleFileName,
  digest: Sha256 | undefined,
  expected: string,
  at: string,
): Finding[] {
  const error = stat.of(opened);
  if (error !== 0) return [finding(path, 'unreadable', expected, errnoName(error), at)];
  const actual = entryOfStat(path);
  if (actual.type !== 'file' || stat.size > BUNDLE_FILE_LIMITS[name]) {
    return [finding(path, 'modified', expected, describeContent(actual), at)];
  }
  const stamp = new Uint32Array(STAMP_WORDS);
  stat.stamp(stamp, 0);
  const outcome = hasher.hash(opened, stat.size, () => true);
  if (outcome === 'failed') return [finding(path, 'unreadable', expected, errnoName(hasher.error), at)];
  const same = outcome === 'read' && stat.of(opened) === 0 && stat.matches(stamp, 0);
  if (!same) return [finding(path, 'raced', expected, 'changed while it was read', at)];
  const found = hasher.digest.toString('hex');
  if (found === digest) return [];
  return [finding(path, 'modified', expected, `size=${actual.size} sha256=${found}`, at)];
}

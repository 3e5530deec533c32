import { statesContent } from './compare-stated.ts';
import { whyUnchecked } from './keywords.ts';
import { DIGEST_NAMES, type DigestName, type Listing, type Stated, walkListing } from './listing.ts';

/** What a check by a foreign manifest compares, and what it does not. */
export type Coverage = {
  /** For each keyword, how many entries it is compared for. */
  compared: Record<string, number>;
  /** Keywords that stand there and are not compared, for how many entries, and why. */
  unchecked: { keyword: string; entries: number; why: string }[];
  /** Files whose content is not compared, since no digest is stated. */
  filesWithoutDigest: number;
  /** Directories that lead to others without being listed: what else they hold is not looked at. */
  unlistedDirectories: number;
};

const SIMPLE = [
  'type',
  'mode',
  'uid',
  'gid',
  'uname',
  'gname',
  'nlink',
  'time',
  'size',
  'link',
  'cksum',
] as const;

/** Says what can be checked of a listing on a machine that has the digests `available`. */
export function coverageOf(listing: Listing, available: ReadonlySet<DigestName>): Coverage {
  const compared = new Map<string, number>();
  const unchecked = new Map<string, number>();
  let filesWithoutDigest = 0;
  let unlistedDirectories = 0;
  for (const { stated } of walkListing(listing)) {
    if (stated === undefined) {
      unlistedDirectories += 1;
      continue;
    }
    for (const keyword of uncheckedOf(stated, available)) count(unchecked, keyword);
    if (stated.nochange === true) continue;
    for (const keyword of comparedOf(stated, available)) count(compared, keyword);
    const isFile = (stated.type ?? 'file') === 'file';
    if (isFile && !statesContent(withoutUnavailable(stated, available))) filesWithoutDigest += 1;
  }
  return {
    compared: Object.fromEntries(compared),
    unchecked: [...unchecked].map(([keyword, entries]) => ({ keyword, entries, why: why(keyword) })),
    filesWithoutDigest,
    unlistedDirectories,
  };
}

/** The statements of a listing without the digests that this machine can't make, which `coverageOf` names. */
export function withoutUnavailable(stated: Stated, available: ReadonlySet<DigestName>): Stated {
  const missing = DIGEST_NAMES.filter((name) => stated[name] !== undefined && !available.has(name));
  if (missing.length === 0) return stated;
  const left = { ...stated };
  for (const name of missing) delete left[name];
  return left;
}

function uncheckedOf(stated: Stated, available: ReadonlySet<DigestName>): string[] {
  const keywords = [...(stated.unchecked ?? [])];
  if (stated.nochange === true) keywords.push('nochange');
  if (stated.ignore === true) keywords.push('ignore');
  if (stated.device !== undefined && !isDevice(stated)) keywords.push('device');
  if (stated.size !== undefined && stated.type === 'dir') keywords.push(DIRECTORY_SIZE);
  for (const name of DIGEST_NAMES)
    if (stated[name] !== undefined && !available.has(name)) keywords.push(name);
  return [...new Set(keywords)];
}

function comparedOf(stated: Stated, available: ReadonlySet<DigestName>): string[] {
  const keywords: string[] = SIMPLE.filter(
    (keyword) => stated[keyword] !== undefined && !(keyword === 'size' && stated.type === 'dir'),
  );
  if (stated.device !== undefined && isDevice(stated)) keywords.push('device');
  for (const name of DIGEST_NAMES) if (stated[name] !== undefined && available.has(name)) keywords.push(name);
  if (stated.xattrs !== undefined && stated.xattrs.size > 0) keywords.push('xattr');
  return keywords;
}

const DIRECTORY_SIZE = 'size of directories';

function why(keyword: string): string {
  if (keyword === DIRECTORY_SIZE) return 'a matter of the file system';
  const isDigest = (DIGEST_NAMES as readonly string[]).includes(keyword);
  return isDigest ? "this machine's OpenSSL does not make it" : whyUnchecked(keyword);
}

function isDevice({ type }: Stated): boolean {
  return type === 'char' || type === 'block';
}

function count(counts: Map<string, number>, keyword: string): void {
  counts.set(keyword, (counts.get(keyword) ?? 0) + 1);
}

import { type BytePath, joinPath } from '../../base/byte-path.ts';
import type { EntryType } from '../entry.ts';

/** Digests that a foreign manifest may state, by the shorter of the names that mtree(8) gives them. */
export const DIGEST_NAMES = ['md5', 'sha1', 'rmd160', 'sha256', 'sha384', 'sha512', 'sha512256'] as const;
export type DigestName = (typeof DIGEST_NAMES)[number];

/** What a foreign manifest says of one path; what it does not say is not there. */
export type Stated = Partial<Record<DigestName, string>> & {
  type?: EntryType;
  /** 0 to 0o7777. */
  mode?: number;
  uid?: number;
  gid?: number;
  uname?: string;
  gname?: string;
  nlink?: number;
  size?: number;
  /** When the content changed; without nanoseconds where only seconds are stated. */
  time?: { seconds: number; nanoseconds?: number };
  /** Target of a symbolic link: raw bytes, one code unit each. */
  link?: string;
  device?: { major: number; minor: number };
  /** The CRC of POSIX's cksum. */
  cksum?: number;
  /** Extended attributes by raw name, values in base64. */
  xattrs?: ReadonlyMap<string, string>;
  /** May be missing. */
  optional?: true;
  /** Its being there is all that is asked. */
  nochange?: true;
  /** What lies below is nobody's concern. */
  ignore?: true;
  /** Keywords whose statements can't be checked. */
  unchecked?: readonly string[];
};

/** One path of a foreign manifest. */
export type Listed = {
  /** Raw bytes, one code unit each; the root's is empty. */
  readonly name: string;
  readonly parent: Listed | undefined;
  /** Directories above it. */
  readonly depth: number;
  /** Undefined for a directory on the way to others that the manifest does not list itself. */
  stated: Stated | undefined;
  /** Line of its last statement, from 1; 0 where there is none. */
  line: number;
  children: Map<string, Listed> | undefined;
};

/** What a foreign manifest lists. Made only by `readMtree`. */
export type Listing = {
  readonly root: Listed;
  /** Paths that the manifest states something about. */
  readonly entries: number;
  /** Names that stand with `*`, `?` or `[`, which NetBSD's mtree would take for patterns. */
  readonly patternLike: number;
};

/** The path of a listed entry below the root. */
export function listedPath(entry: Listed): BytePath {
  const names: string[] = [];
  for (let at = entry; at.parent !== undefined; at = at.parent) names.push(at.name);
  let path = '' as BytePath;
  for (const name of names.reverse()) path = joinPath(path, name);
  return path;
}

/** Every listed entry, a directory before what it holds, siblings by the bytes of their names. */
export function* walkListing({ root }: Pick<Listing, 'root'>): Generator<Listed> {
  const waiting: Listed[] = [root];
  for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
    yield entry;
    const below = [...(entry.children?.values() ?? [])];
    below.sort((a, b) => (a.name < b.name ? 1 : a.name > b.name ? -1 : 0));
    // One by one: a call takes no more than some 100,000 arguments.
    for (const one of below) waiting.push(one);
  }
}

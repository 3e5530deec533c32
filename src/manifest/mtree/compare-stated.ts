import type { BytePath } from '../../base/byte-path.ts';
import { displayPath, escapeText } from '../../base/display.ts';
import { type Finding, finding } from '../../base/finding.ts';
import { shownXattr } from '../compare.ts';
import type { EntryType } from '../entry.ts';
import { DIGEST_NAMES, type DigestName, type Stated } from './listing.ts';

/** What stands at a path; digests where it is a file and was read. */
export type Observed = Partial<Record<DigestName, string>> & {
  type: EntryType;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  size: number;
  time: { seconds: number; nanoseconds: number };
  link?: string;
  device?: { major: number; minor: number };
  cksum?: number;
  xattrs?: ReadonlyMap<string, Uint8Array>;
};

/** Numbers of this machine's users and groups, by name. */
export type Accounts = { users: ReadonlyMap<string, number>; groups: ReadonlyMap<string, number> };

/**
 * What differs between what a foreign manifest states about a path and what stands there, in the findings and the
 * kinds of our own manifest: `type` alone where the type differs, else `modified` and `metadata`. Nothing is
 * compared but what is stated. A file whose size differs need not have been read.
 */
export function compareStated(
  path: BytePath,
  stated: Stated,
  observed: Observed,
  accounts: Accounts,
  at: string,
): Finding[] {
  if (stated.nochange === true) return [];
  if (stated.type !== undefined && stated.type !== observed.type) {
    return [finding(path, 'type', `type=${stated.type}`, describeObserved(observed), at)];
  }
  const content = joined(contentDifferences(stated, observed));
  const metadata = joined(metadataDifferences(stated, observed, accounts));
  return [
    ...(content === undefined ? [] : [finding(path, 'modified', ...content, at)]),
    ...(metadata === undefined ? [] : [finding(path, 'metadata', ...metadata, at)]),
  ];
}

/** Whether reading a file of this size can change what is found. */
export function needsContent(stated: Stated, observed: Pick<Observed, 'type' | 'size'>): boolean {
  if (stated.nochange === true || observed.type !== 'file') return false;
  if (stated.type !== undefined && stated.type !== 'file') return false;
  return (stated.size ?? observed.size) === observed.size && statesContent(stated);
}

/** Whether a digest or checksum of the content is stated. */
export function statesContent(stated: Stated): boolean {
  return stated.cksum !== undefined || DIGEST_NAMES.some((name) => stated[name] !== undefined);
}

/** What is stated but for the content. */
export function withoutContent(stated: Stated): Stated {
  const left = { ...stated };
  delete left.cksum;
  for (const name of DIGEST_NAMES) delete left[name];
  return left;
}

/** What is stated, as a finding about a missing path shows it. */
export function describeStated(stated: Stated): string {
  const words = [stated.type === undefined ? '' : `type=${stated.type}`];
  if (stated.mode !== undefined) words.push(modeWord(stated.mode));
  if (stated.size !== undefined) words.push(`size=${stated.size}`);
  if (stated.link !== undefined) words.push(linkWord(stated.link));
  if (stated.sha256 !== undefined) words.push(`sha256=${stated.sha256}`);
  return words.filter((word) => word !== '').join(' ');
}

/** What was found, as a finding about an unexpected path or another type shows it. */
export function describeObserved(observed: Observed): string {
  const words = [
    `type=${observed.type}`,
    modeWord(observed.mode),
    `uid=${observed.uid}`,
    `gid=${observed.gid}`,
  ];
  if (observed.type === 'file') words.push(`size=${observed.size}`);
  if (observed.link !== undefined) words.push(linkWord(observed.link));
  if (observed.device !== undefined) words.push(deviceWord(observed.device));
  return words.join(' ');
}

/** Words for one difference, what is stated first. */
type Pair = readonly [stated: string, found: string];

function joined(pairs: readonly Pair[]): Pair | undefined {
  if (pairs.length === 0) return undefined;
  const words = (side: 0 | 1): string =>
    pairs
      .map((pair) => pair[side])
      .filter((word) => word !== '')
      .join(' ');
  return [words(0), words(1)];
}

function contentDifferences(stated: Stated, observed: Observed): Pair[] {
  const pairs: Pair[] = [];
  const compare = comparer(pairs);
  if (stated.size !== undefined && observed.type !== 'dir') {
    compare(`size=${stated.size}`, `size=${observed.size}`);
  }
  if (stated.link !== undefined) {
    compare(linkWord(stated.link), observed.link === undefined ? '' : linkWord(observed.link));
  }
  if (stated.device !== undefined && observed.device !== undefined) {
    compare(deviceWord(stated.device), deviceWord(observed.device));
  }
  // Where the size differs the content was not read, and the size says enough.
  if (stated.size !== undefined && stated.size !== observed.size) return pairs;
  for (const name of DIGEST_NAMES) {
    if (stated[name] !== undefined) compare(`${name}=${stated[name]}`, word(name, observed[name]));
  }
  if (stated.cksum !== undefined) compare(`cksum=${stated.cksum}`, word('cksum', observed.cksum));
  return pairs;
}

function metadataDifferences(stated: Stated, observed: Observed, accounts: Accounts): Pair[] {
  const pairs: Pair[] = [];
  const compare = comparer(pairs);
  const { uid, gid } = observed;
  if (stated.mode !== undefined) compare(modeWord(stated.mode), modeWord(observed.mode));
  if (stated.uid !== undefined) compare(`uid=${stated.uid}`, `uid=${uid}`);
  if (stated.gid !== undefined) compare(`gid=${stated.gid}`, `gid=${gid}`);
  if (stated.uname !== undefined) {
    const number = accounts.users.get(stated.uname);
    if (number !== uid) pairs.push([accountWord('uname', stated.uname, number), `uid=${uid}`]);
  }
  if (stated.gname !== undefined) {
    const number = accounts.groups.get(stated.gname);
    if (number !== gid) pairs.push([accountWord('gname', stated.gname, number), `gid=${gid}`]);
  }
  if (stated.nlink !== undefined) compare(`nlink=${stated.nlink}`, `nlink=${observed.nlink}`);
  if (stated.time !== undefined) {
    const exact = stated.time.nanoseconds !== undefined;
    compare(timeWord(stated.time), timeWord(exact ? observed.time : { seconds: observed.time.seconds }));
  }
  for (const [name, value] of stated.xattrs ?? []) {
    const seen = observed.xattrs?.get(name);
    // The words of a long value are cut: two that differ may look the same.
    if (seen !== undefined && Buffer.from(seen).toString('base64') === value) continue;
    const key = `xattr.${escapeText(name)}`;
    const found = seen === undefined ? '' : `${key}=${shownXattr(seen)}`;
    pairs.push([`${key}=${shownXattr(Buffer.from(value, 'base64'))}`, found]);
  }
  return pairs;
}

/** Adds what differs to `pairs`. */
function comparer(pairs: Pair[]): (stated: string, found: string) => void {
  return (stated, found) => {
    if (stated !== found) pairs.push([stated, found]);
  };
}

function accountWord(key: string, name: string, number: number | undefined): string {
  return `${key}=${escapeText(name)}${number === undefined ? ' (unknown on this machine)' : ''}`;
}

function word(key: string, value: string | number | undefined): string {
  return value === undefined ? '' : `${key}=${value}`;
}

function modeWord(mode: number): string {
  return `mode=${mode.toString(8).padStart(4, '0')}`;
}

function linkWord(target: string): string {
  return `link=${displayPath(target as BytePath)}`;
}

function deviceWord({ major, minor }: { major: number; minor: number }): string {
  return `device=${major},${minor}`;
}

/** Nanoseconds in nine digits, so that the words of both sides compare. */
function timeWord({ seconds, nanoseconds }: { seconds: number; nanoseconds?: number | undefined }): string {
  return nanoseconds === undefined
    ? `time=${seconds}`
    : `time=${seconds}.${String(nanoseconds).padStart(9, '0')}`;
}

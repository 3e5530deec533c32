import type { BytePath } from '../base/byte-path.ts';
import { displayPath, escapeText } from '../base/display.ts';
import { type Finding, finding } from '../base/finding.ts';
import type { Entry } from './entry.ts';

/** Characters of one value in a finding at most; a longer attribute is cut and its length said. */
const MAX_SHOWN = 256;

/**
 * What differs between what the manifest says and what was found at one path: `type` alone where the type
 * differs, else `modified` (size, content, link target, device number) and `metadata` (mode, owner, link
 * count, fs-verity digest, extended attributes). Empty where they agree. A file whose size differs need not have been read: its
 * actual entry has no digest then. `at` is RFC 3339.
 */
export function compareEntry(expected: Entry, actual: Entry, at: string): Finding[] {
  if (expected.type !== actual.type) {
    return [finding(expected.path, 'type', `type=${expected.type}`, describeEntry(actual), at)];
  }
  const found: Finding[] = [];
  const wanted = describeContent(expected);
  const seen = describeContent(actual);
  if (wanted !== seen) found.push(finding(expected.path, 'modified', wanted, seen, at));
  return [...found, ...compareMetadata(expected, actual, at)];
}

/** The `metadata` finding of `compareEntry` alone, for a file that can't be read. */
export function compareMetadata(expected: Entry, actual: Entry, at: string): Finding[] {
  const wanted: string[] = [];
  const seen: string[] = [];
  const differ = (a: string, b: string): void => {
    if (a === b) return;
    if (a !== '') wanted.push(a);
    if (b !== '') seen.push(b);
  };
  differ(describeMode(expected), describeMode(actual));
  differ(`uid=${expected.uid}`, `uid=${actual.uid}`);
  differ(`gid=${expected.gid}`, `gid=${actual.gid}`);
  if (expected.type !== 'dir') differ(describeNlink(expected), describeNlink(actual));
  // Only a file that has fs-verity on this machine has an actual digest.
  if (actual.fsVerity !== undefined) differ(describeVerity(expected), describeVerity(actual));
  const names = new Set([...(expected.xattrs?.keys() ?? []), ...(actual.xattrs?.keys() ?? [])]);
  for (const name of [...names].sort()) {
    const before = expected.xattrs?.get(name);
    const now = actual.xattrs?.get(name);
    if (before !== undefined && now !== undefined && before.equals(now)) continue;
    if (before !== undefined) wanted.push(describeXattr(name, before));
    if (now !== undefined) seen.push(describeXattr(name, now));
  }
  if (wanted.length === 0 && seen.length === 0) return [];
  return [finding(expected.path, 'metadata', wanted.join(' '), seen.join(' '), at)];
}

/** A path of the manifest where nothing is. `below` counts the entries that went with a directory. */
export function missingFinding(expected: Entry, below: number, at: string): Finding {
  const more = below === 0 ? '' : ` and ${below} below it`;
  return finding(expected.path, 'missing', `${describeEntry(expected)}${more}`, 'nothing', at);
}

/** A path that is not in the manifest. */
export function unexpectedFinding(actual: Entry, at: string): Finding {
  return finding(actual.path, 'unexpected', '', describeEntry(actual), at);
}

/** A path that the release declares absent. */
export function absentFinding(actual: Entry, at: string): Finding {
  return finding(actual.path, 'unexpected', 'declared absent', describeEntry(actual), at);
}

/** A path that could not be read: `why` names the system call's error. */
export function unreadableFinding(expected: Entry, why: string, at: string): Finding {
  return finding(expected.path, 'unreadable', describeEntry(expected), why, at);
}

/** A path that changed every time it was read. */
export function racedFinding(path: BytePath, expected: string, times: number, at: string): Finding {
  return finding(path, 'raced', expected, `changed while it was read, ${times} times in a row`, at);
}

/** An entry in the words of the manifest, without its path. */
export function describeEntry(entry: Entry): string {
  const words = [
    `type=${entry.type}`,
    describeMode(entry),
    `uid=${entry.uid}`,
    `gid=${entry.gid}`,
    describeContent(entry),
  ];
  for (const [name, value] of entry.xattrs ?? []) words.push(describeXattr(name, value));
  return words.filter((word) => word !== '').join(' ');
}

/** What of an entry is content: size and digest, link target, or device number. */
export function describeContent(entry: Entry): string {
  if (entry.type === 'file') {
    const digest = entry.sha256 === undefined ? '' : ` sha256=${entry.sha256}`;
    return `size=${entry.size ?? '?'}${digest}`;
  }
  // `displayPath` shows different bytes differently, so these words can be compared too.
  if (entry.type === 'link') return `link=${displayPath((entry.link ?? '') as BytePath)}`;
  if (entry.rdev !== undefined) return `device=${entry.rdev.major},${entry.rdev.minor}`;
  return '';
}

function describeMode(entry: Entry): string {
  return `mode=${entry.mode.toString(8).padStart(4, '0')}`;
}

function describeNlink(entry: Entry): string {
  return entry.nlink === undefined ? '' : `nlink=${entry.nlink}`;
}

function describeVerity(entry: Entry): string {
  return entry.fsVerity === undefined ? '' : `fsverity.sha256=${entry.fsVerity}`;
}

function describeXattr(name: string, value: Buffer): string {
  return `xattr.${escapeText(name)}=${shownXattr(value)}`;
}

/** The value of an attribute in base64, cut where it is long. */
export function shownXattr(value: Uint8Array): string {
  const encoded = Buffer.from(value).toString('base64');
  return encoded.length <= MAX_SHOWN ? encoded : `${encoded.slice(0, MAX_SHOWN)}… (${value.length} bytes)`;
}

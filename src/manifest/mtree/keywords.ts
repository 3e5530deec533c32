import { base64 } from '../../base/bytes.ts';
import { ENTRY_TYPES, type EntryType } from '../entry.ts';
import { MAX_LINK_BYTES, MAX_NAME_BYTES, MAX_XATTR_BYTES } from '../limits.ts';
import type { DigestName, Stated } from './listing.ts';
import { quoted, refuse } from './refuse.ts';
import { parseSymbolicMode } from './symbolic-mode.ts';
import { unvis } from './unvis.ts';

const TRUSTED = 'xattr.trusted.*';

/** Keywords that are known and can't be checked, and why. */
const UNCHECKED: ReadonlyMap<string, string> = new Map([
  ['flags', 'file flags (chflags) are not read'],
  ['tags', 'a label, nothing that a file has'],
  ['inode', 'a number of the file system it was made on'],
  ['resdevice', 'a number of the file system it was made on'],
  ['contents', 'where an archiver finds the content, not what it is'],
  ['nochange', 'that it is there was compared, and no more'],
  ['ignore', 'what lies below was not looked at'],
  ['device', 'numbers of another system, or of what is no device'],
  [TRUSTED, 'attributes that only an administrator sees are not read'],
]);

/** Why what `Stated.unchecked` names was not checked. */
export function whyUnchecked(keyword: string): string {
  return UNCHECKED.get(keyword) ?? 'not a keyword that this program knows';
}

const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['md5digest', 'md5'],
  ['sha1digest', 'sha1'],
  ['rmd160digest', 'rmd160'],
  ['ripemd160digest', 'rmd160'],
  ['sha256digest', 'sha256'],
  ['sha384digest', 'sha384'],
  ['sha512digest', 'sha512'],
  ['sha512256digest', 'sha512256'],
  ['content', 'contents'],
]);

const HEX_DIGITS: ReadonlyMap<string, number> = new Map<DigestName, number>([
  ['md5', 32],
  ['sha1', 40],
  ['rmd160', 40],
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
  ['sha512256', 64],
]);

/** Extended attributes of one entry at most: a list of all their names is 64 KiB (xattr(7)). */
const MAX_XATTRS = 256;

const MAX_ID = 0xffff_ffff;

/** Systems whose device numbers are written as Linux has them: major and minor as two numbers. */
const OUR_DEVICES = ['native', 'linux'];

/** The keyword that a word of a line is about, by its first name. */
export function keywordOf(word: string): string {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  if (name.startsWith('xattrs.')) return `xattr.${name.slice('xattrs.'.length)}`;
  return SYNONYMS.get(name) ?? name;
}

/** Whether the word states something: `keyword=value` or one of those that stand alone, of a keyword known here. */
export function isStatement(word: string): boolean {
  const keyword = keywordOf(word);
  if (!word.includes('=')) return ['optional', 'nochange', 'ignore'].includes(keyword);
  const known = READERS.has(keyword) || HEX_DIGITS.has(keyword) || UNCHECKED.has(keyword);
  return known || keyword.startsWith('xattr.');
}

/**
 * Adds what a word of a line states to `stated`, over what was there. A keyword that is not known or can't be
 * checked is noted there as such.
 * @throws ManifestError `mtree-syntax`
 */
export function state(stated: Stated, word: string, line: number): void {
  const keyword = keywordOf(word);
  const equals = word.indexOf('=');
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  if (keyword === 'optional' || keyword === 'nochange' || keyword === 'ignore') {
    if (value !== undefined) refuse('mtree-syntax', line, `"${keyword}" takes no value`);
    stated[keyword] = true;
    return;
  }
  const isXattr = keyword.startsWith('xattr.');
  const read = READERS.get(keyword);
  if (read === undefined && !HEX_DIGITS.has(keyword) && !isXattr) {
    note(stated, keyword);
    return;
  }
  if (value === undefined || (value === '' && !isXattr)) {
    refuse('mtree-syntax', line, `the keyword ${quoted(keyword)} has no value`);
  }
  if (isXattr) readXattr(stated, keyword.slice('xattr.'.length), value, line);
  else if (read !== undefined) read(stated, value, line);
  else stated[keyword as DigestName] = readDigest(keyword as DigestName, value, line);
}

/** Takes back what was stated by a keyword, or everything for `all`. */
export function unstate(stated: Stated, word: string): Stated {
  const keyword = keywordOf(word);
  if (keyword === 'all') return {};
  const left: Stated = { ...stated };
  if (keyword.startsWith('xattr.')) {
    const xattrs = new Map(left.xattrs);
    xattrs.delete(unvis(keyword.slice('xattr.'.length)) ?? '');
    left.xattrs = xattrs;
  } else delete left[(keyword === 'tar_time' ? 'time' : keyword) as keyof Stated];
  if (left.unchecked !== undefined) left.unchecked = left.unchecked.filter((noted) => noted !== keyword);
  return left;
}

type Reader = (stated: Stated, value: string, line: number) => void;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['type', (stated, value, line) => (stated.type = readType(value, line))],
  ['mode', (stated, value, line) => (stated.mode = readMode(value, line))],
  ['uid', (stated, value, line) => (stated.uid = readNumber(value, MAX_ID, 'uid', line))],
  ['gid', (stated, value, line) => (stated.gid = readNumber(value, MAX_ID, 'gid', line))],
  ['uname', (stated, value, line) => (stated.uname = readName(value, 'uname', line))],
  ['gname', (stated, value, line) => (stated.gname = readName(value, 'gname', line))],
  ['nlink', (stated, value, line) => (stated.nlink = readNumber(value, MAX_ID, 'nlink', line))],
  ['size', (stated, value, line) => (stated.size = readNumber(value, Number.MAX_SAFE_INTEGER, 'size', line))],
  ['cksum', (stated, value, line) => (stated.cksum = readNumber(value, MAX_ID, 'cksum', line))],
  ['link', (stated, value, line) => (stated.link = readLink(value, line))],
  ['time', (stated, value, line) => (stated.time = readTime(value, line))],
  // go-mtree's for what came out of a tar archive: seconds, whatever follows them. Beside `time` it says nothing more.
  ['tar_time', (stated, value, line) => (stated.time ??= { seconds: readTime(value, line).seconds })],
  [
    'device',
    (stated, value, line) => {
      const device = readDevice(value, line);
      if (device === undefined) note(stated, 'device');
      else stated.device = device;
    },
  ],
]);

function note(stated: Stated, keyword: string): void {
  const noted = stated.unchecked ?? [];
  if (!noted.includes(keyword)) stated.unchecked = [...noted, keyword];
}

function readType(value: string, line: number): EntryType {
  const type = ENTRY_TYPES.find((known) => known === value);
  if (type === undefined) refuse('mtree-syntax', line, `type ${quoted(value)} is not known`);
  return type;
}

function readMode(value: string, line: number): number {
  const mode = /^[0-7]{1,8}$/.test(value) ? Number.parseInt(value, 8) : parseSymbolicMode(value);
  if (mode === undefined || mode > 0o7777) {
    refuse(
      'mtree-syntax',
      line,
      `mode ${quoted(value)} is neither octal, up to 7777, nor like "u=rwx,go=rx"`,
    );
  }
  return mode;
}

function readNumber(value: string, max: number, what: string, line: number): number {
  const number = Number(value);
  if (!/^[0-9]{1,16}$/.test(value) || number > max) {
    refuse('mtree-syntax', line, `${what} ${quoted(value)} is not a whole number from 0 to ${max}`);
  }
  return number;
}

function readName(value: string, what: string, line: number): string {
  const name = unvis(value);
  if (name === undefined) refuse('mtree-syntax', line, `${what} ${quoted(value)} is badly escaped`);
  return name;
}

function readLink(value: string, line: number): string {
  const target = readName(value, 'link', line);
  if (target.length > MAX_LINK_BYTES) {
    refuse('mtree-syntax', line, `the link's target is longer than ${MAX_LINK_BYTES} bytes`);
  }
  return target;
}

/** After the point stands a count of nanoseconds, not a fraction: both Debian's tools write 1.015 s as `1.15000000`. */
function readTime(value: string, line: number): { seconds: number; nanoseconds?: number } {
  const found = /^(-?[0-9]{1,15})(?:\.([0-9]{1,9}))?$/.exec(value);
  if (found === null) refuse('mtree-syntax', line, `time ${quoted(value)} is not seconds.nanoseconds`);
  const seconds = Number(found[1]);
  return found[2] === undefined ? { seconds } : { seconds, nanoseconds: Number(found[2]) };
}

/** Undefined for the numbers of another system. */
function readDevice(value: string, line: number): { major: number; minor: number } | undefined {
  const [format = '', ...parts] = value.split(',');
  const numbers = (parts.length === 0 ? [format] : parts).map((part) => readAnyBase(part));
  if (numbers.some((number) => number === undefined) || parts.length === 1 || parts.length > 3) {
    refuse('mtree-syntax', line, `device ${quoted(value)} is neither a number nor like "native,8,1"`);
  }
  if (parts.length > 0) {
    const [major = 0, minor = 0] = numbers;
    return parts.length === 2 && OUR_DEVICES.includes(format) ? { major, minor } : undefined;
  }
  // As glibc packs them (sys/sysmacros.h).
  const packed = BigInt(numbers[0] ?? 0);
  return {
    major: Number(((packed >> 8n) & 0xfffn) | ((packed >> 32n) & 0xffff_f000n)),
    minor: Number((packed & 0xffn) | ((packed >> 12n) & 0xffff_ff00n)),
  };
}

/** A number as strtoul(3) reads it: `0x` is hexadecimal, a leading 0 octal. */
function readAnyBase(text: string): number | undefined {
  let number: number;
  if (/^0x[0-9a-fA-F]{1,13}$/.test(text)) number = Number.parseInt(text.slice(2), 16);
  else if (/^0[0-7]{0,17}$/.test(text)) number = Number.parseInt(text, 8);
  else if (/^[1-9][0-9]{0,15}$/.test(text)) number = Number(text);
  else return undefined;
  return Number.isSafeInteger(number) ? number : undefined;
}

function readDigest(name: DigestName, value: string, line: number): string {
  const hex = value.replace(/^0x/, '').toLowerCase();
  const digits = HEX_DIGITS.get(name);
  if (hex.length !== digits || !/^[0-9a-f]+$/.test(hex)) {
    refuse('mtree-syntax', line, `${name} ${quoted(value)} is not ${digits} hexadecimal digits`);
  }
  return hex;
}

/** `xattr.<name>=<base64>`, as go-mtree and this program write them. */
function readXattr(stated: Stated, name: string, value: string, line: number): void {
  const raw = unvis(name);
  if (raw === undefined || raw === '' || raw.length > MAX_NAME_BYTES) {
    refuse('mtree-syntax', line, `the extended attribute ${quoted(name)} has no name that can be`);
  }
  if (raw.startsWith('trusted.')) {
    note(stated, TRUSTED);
    return;
  }
  let bytes: Buffer;
  try {
    bytes = base64(value);
  } catch {
    refuse('mtree-syntax', line, `the extended attribute ${quoted(name)} is not base64`);
  }
  if (bytes.length > MAX_XATTR_BYTES) {
    refuse('mtree-too-large', line, `an extended attribute is longer than ${MAX_XATTR_BYTES} bytes`);
  }
  if ((stated.xattrs?.size ?? 0) === MAX_XATTRS) {
    refuse('mtree-too-large', line, `an entry has more than ${MAX_XATTRS} extended attributes`);
  }
  stated.xattrs = new Map([...(stated.xattrs ?? []), [raw, value]]);
}

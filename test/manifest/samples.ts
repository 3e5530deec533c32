import fc from 'fast-check';

import type { BytePath } from '../../src/base/byte-path.ts';
import { type Sha256, sha256 } from '../../src/base/digest.ts';
import { ENTRY_TYPES, type Entry, type EntryType } from '../../src/manifest/entry.ts';

/** A digest that is not looked at. */
export const SOME_DIGEST: Sha256 = sha256('content');

export const path = (text: string): BytePath => text as BytePath;

export function dir(at: string, more: Partial<Entry> = {}): Entry {
  return { path: path(at), type: 'dir', mode: 0o755, uid: 0, gid: 0, ...more };
}

export function file(at: string, more: Partial<Entry> = {}): Entry {
  return {
    path: path(at),
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    nlink: 1,
    size: 7,
    sha256: SOME_DIGEST,
    ...more,
  };
}

export function link(at: string, target: string): Entry {
  return { path: path(at), type: 'link', mode: 0o777, uid: 0, gid: 0, nlink: 1, link: target };
}

/** A file name of any bytes that Linux allows: 1 to 255 of them, no NUL, no slash, not `.` or `..`. */
const fileName: fc.Arbitrary<string> = fc
  .oneof(
    fc.uint8Array({ minLength: 1, maxLength: 12 }),
    fc.uint8Array({ minLength: 1, maxLength: 255 }),
    // Names that are close in order: what sorts around a slash.
    fc
      .array(fc.constantFrom(0x2d, 0x2e, 0x30, 0x61), { minLength: 1, maxLength: 3 })
      .map((b) => Uint8Array.from(b)),
  )
  .map((bytes) => Buffer.from(bytes.map((b) => (b === 0 || b === 0x2f ? 0x5f : b))).toString('latin1'))
  .filter((name) => name !== '.' && name !== '..');

const rawBytes = (max: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: 1, maxLength: max })
    .map((bytes) => Buffer.from(bytes.map((b) => (b === 0 ? 1 : b))).toString('latin1'));

const xattrs: fc.Arbitrary<ReadonlyMap<string, Buffer> | undefined> = fc.option(
  fc
    .array(fc.tuple(rawBytes(20), fc.uint8Array({ maxLength: 40 })), { minLength: 1, maxLength: 3 })
    .map((pairs) => new Map(pairs.map(([name, value]) => [name, Buffer.from(value)]))),
  { nil: undefined, freq: 3 },
);

const identifier = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: 0xffff_ffff }));

const details = fc.record({
  type: fc.constantFrom<EntryType>(...ENTRY_TYPES),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: identifier,
  gid: identifier,
  nlink: fc.integer({ min: 1, max: 0xffff_ffff }),
  // A hundred of the largest still add up to an exact number.
  size: fc.oneof(fc.nat(), fc.nat({ max: 2 ** 46 })),
  sha256: fc.uint8Array({ minLength: 4, maxLength: 4 }).map(sha256),
  fsVerity: fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }).map(sha256), { nil: undefined }),
  link: rawBytes(30),
  major: fc.nat(0xfff),
  minor: fc.nat(0xf_ffff),
  xattrs,
});

function entryOf(at: string, detail: typeof details extends fc.Arbitrary<infer T> ? T : never): Entry {
  const { type, mode, uid, gid, nlink, size, sha256: digest, link: target, major, minor } = detail;
  return {
    path: path(at),
    type,
    mode,
    uid,
    gid,
    ...(type === 'dir' ? {} : { nlink }),
    ...(type === 'file' ? { size, sha256: digest } : {}),
    ...(type === 'file' && detail.fsVerity !== undefined ? { fsVerity: detail.fsVerity } : {}),
    ...(type === 'link' ? { link: target } : {}),
    ...(type === 'char' || type === 'block' ? { rdev: { major, minor } } : {}),
    ...(detail.xattrs === undefined ? {} : { xattrs: detail.xattrs }),
  };
}

/** Any tree that a manifest can hold, entries in no order: at least one file, names of arbitrary bytes. */
export const anyTree: fc.Arbitrary<Entry[]> = fc
  .array(fc.tuple(fileName, fc.nat(), details), { minLength: 1, maxLength: 30 })
  .map((plan) => {
    const directories = [''];
    const entries = new Map<string, Entry>([['', dir('')]]);
    for (const [name, within, detail] of plan) {
      const parent = directories[within % directories.length] ?? '';
      const at = parent === '' ? name : `${parent}/${name}`;
      if (entries.has(at)) continue;
      if (detail.type === 'dir') directories.push(at);
      entries.set(at, entryOf(at, detail));
    }
    if (![...entries.values()].some(({ type }) => type === 'file')) entries.set('the file', file('the file'));
    return [...entries.values()].reverse();
  });

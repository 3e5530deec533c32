import { base64 } from '../base/bytes.ts';
import { messageOf } from '../base/errors.ts';
import { MANIFEST_HEADER } from './format.ts';
import {
  MAX_DEVICE_MAJOR,
  MAX_DEVICE_MINOR,
  MAX_ENTRIES,
  MAX_LINE_BYTES,
  MAX_LINK_BYTES,
  MAX_MANIFEST_BYTES,
  MAX_NAME_BYTES,
  MAX_XATTR_BYTES,
} from './limits.ts';
import { LineReader } from './line-reader.ts';
import { ManifestError } from './manifest-error.ts';
import { type Manifest, sealManifest } from './manifest.ts';
import { TYPE_BLOCK, TYPE_CHAR, TYPE_DIR, TYPE_FILE, TYPE_LINK } from './packed-tree.ts';
import { PathReader } from './path-reader.ts';
import { type Row, TreeBuilder } from './tree-builder.ts';
import { decodeVis } from './vis.ts';
import { packXattrs } from './xattr-blob.ts';

const NEWLINE = 0x0a;
const HEADER_LINES = 2;
const MAX_ID = 0xffff_ffff;
const NO_BYTES = new Uint8Array(0);

const keyword = (name: string): Uint8Array => Buffer.from(` ${name}=`, 'latin1');
const TYPE = keyword('type');
const MODE = keyword('mode');
const UID = keyword('uid');
const GID = keyword('gid');
const NLINK = keyword('nlink');
const SIZE = keyword('size');
const SHA256 = keyword('sha256digest');
const FS_VERITY = Buffer.from(' tags=fsverity:sha256:', 'latin1');
const LINK = keyword('link');
const DEVICE = Buffer.from(' device=native,', 'latin1');
const XATTR = Buffer.from(' xattr.', 'latin1');

/**
 * Reads a manifest. Accepts exactly what `formatManifest` writes, so that a tree has one manifest and one
 * manifest one meaning: an absolute path, a `..`, a duplicate, an entry below anything but a directory, a
 * missing parent, a NUL, an unknown keyword, a second spelling of a number, escape or order is refused, and so
 * is a manifest that lists no file.
 * @throws ManifestError with the line
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length === 0) throw new ManifestError('manifest-empty', 'the manifest is empty');
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new ManifestError(
      'manifest-too-large',
      `the manifest is ${bytes.length} bytes; at most ${MAX_MANIFEST_BYTES} are read`,
    );
  }
  const reader = new LineReader(bytes);
  const builder = new TreeBuilder(countEntries(reader));
  const paths = new PathReader(reader, builder);
  readHeader(reader);
  const row: Row = { parent: 0, type: 0, mode: 0, uid: 0, gid: 0, nlink: 0, size: 0 };
  let files = 0;
  while (nextLine(reader)) {
    readLine(reader, paths, builder, row);
    if (row.type === TYPE_FILE) files += 1;
  }
  if (files === 0) {
    throw new ManifestError('manifest-empty', 'the manifest lists no file', {
      hint: 'Were the roots under "measure" those of the image?',
    });
  }
  return sealManifest(builder.finish());
}

function readHeader(reader: LineReader): void {
  const head = reader.text(0, Math.min(reader.bytes.length, MANIFEST_HEADER.length));
  if (head !== MANIFEST_HEADER) {
    const [first = '', second = ''] = head.split('\n');
    reader.line = 1;
    if (!first.startsWith('#mtree')) reader.fail('manifest-syntax', 'this is not a manifest: no "#mtree"');
    reader.line = first === MANIFEST_HEADER.split('\n')[0] ? 2 : 1;
    const found = JSON.stringify(reader.line === 1 ? first : second);
    reader.fail('manifest-version', `${found} is not a version that this program reads`);
  }
  reader.line = 2;
  reader.end = MANIFEST_HEADER.length - 1;
}

/** Counts the lines after the header, before anything is allocated for them. */
function countEntries({ bytes }: LineReader): number {
  let lines = -HEADER_LINES;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  if (lines > MAX_ENTRIES) {
    throw new ManifestError(
      'manifest-too-large',
      `the manifest has ${lines} entries; at most ${MAX_ENTRIES} are read`,
    );
  }
  return Math.max(0, lines);
}

function nextLine(reader: LineReader): boolean {
  const { bytes } = reader;
  reader.at = reader.end + 1;
  if (reader.at === bytes.length) return false;
  reader.line += 1;
  const newline = bytes.indexOf(NEWLINE, reader.at);
  if (newline < 0) reader.fail('manifest-syntax', 'the last line has no end: the manifest was cut off');
  reader.end = newline;
  if (newline - reader.at > MAX_LINE_BYTES) {
    reader.fail('manifest-too-large', `the line is longer than ${MAX_LINE_BYTES} bytes`);
  }
  return true;
}

function readLine(reader: LineReader, paths: PathReader, builder: TreeBuilder, row: Row): void {
  paths.read();
  reader.keyword(TYPE);
  row.type = reader.type();
  if (paths.isRoot && row.type !== TYPE_DIR) reader.fail('manifest-syntax', 'the root is not a directory');
  reader.keyword(MODE);
  row.mode = reader.mode();
  reader.keyword(UID);
  row.uid = reader.decimal(MAX_ID, 'uid');
  reader.keyword(GID);
  row.gid = reader.decimal(MAX_ID, 'gid');
  row.nlink = 0;
  row.size = 0;
  if (row.type !== TYPE_DIR) {
    reader.keyword(NLINK);
    row.nlink = reader.decimal(MAX_ID, 'nlink');
    if (row.nlink === 0) reader.fail('manifest-syntax', 'nlink is 0');
  }
  let digestAt = -1;
  let verityAt = -1;
  let link: Uint8Array = NO_BYTES;
  if (row.type === TYPE_FILE) {
    reader.keyword(SIZE);
    row.size = reader.decimal(Number.MAX_SAFE_INTEGER, 'size');
    reader.keyword(SHA256);
    digestAt = takeDigest(reader, 'sha256digest');
    if (reader.optionalPrefix(FS_VERITY)) verityAt = takeDigest(reader, 'the fs-verity digest');
  } else if (row.type === TYPE_LINK) {
    reader.keyword(LINK);
    link = readTarget(reader);
  } else if (row.type === TYPE_CHAR || row.type === TYPE_BLOCK) {
    reader.keyword(DEVICE);
    const major = reader.decimal(MAX_DEVICE_MAJOR, 'device major', 0x2c);
    if (reader.at === reader.end) reader.fail('manifest-syntax', 'device has no minor number');
    reader.at += 1;
    row.size = major * 2 ** 32 + reader.decimal(MAX_DEVICE_MINOR, 'device minor');
  }
  const xattrs = reader.at === reader.end ? NO_BYTES : readXattrs(reader);
  if (reader.at !== reader.end) reader.refuseRest();

  row.parent = paths.parent;
  const index = builder.add(row, paths.path, paths.nameFrom, paths.length);
  paths.added(index);
  if (digestAt >= 0 && !builder.setDigest(index, reader.bytes, digestAt)) {
    reader.fail('manifest-syntax', 'sha256digest is not 64 lower-case hexadecimal digits');
  }
  if (verityAt >= 0 && !builder.setVerity(index, reader.bytes, verityAt)) {
    reader.fail(
      'manifest-syntax',
      'the fs-verity digest is not 64 lower-case hexadecimal digits, or only zeros',
    );
  }
  if (link.length > 0 || xattrs.length > 0) builder.setExtra(index, link, xattrs);
}

/** Passes over 64 digits; where they begin. */
function takeDigest(reader: LineReader, what: string): number {
  const from = reader.at;
  reader.at += 64;
  if (reader.at > reader.end) reader.fail('manifest-syntax', `${what} is cut off`);
  return from;
}

function readTarget(reader: LineReader): Uint8Array {
  const to = reader.tokenEnd();
  if (to - reader.at > MAX_LINK_BYTES * 4) {
    reader.fail('manifest-too-large', `the link's target is longer than ${MAX_LINK_BYTES} bytes`);
  }
  const out = new Uint8Array(to - reader.at);
  const length = decodeVis(reader.bytes, reader.at, to, out, 0);
  if (length < 0) reader.fail('manifest-syntax', 'the link has a bad escape or a byte that must be escaped');
  if (length === 0 || length > MAX_LINK_BYTES) {
    reader.fail('manifest-syntax', `the link's target is empty or longer than ${MAX_LINK_BYTES} bytes`);
  }
  reader.at = to;
  return out.subarray(0, length);
}

function readXattrs(reader: LineReader): Uint8Array {
  const xattrs = new Map<string, Uint8Array>();
  let previous = '';
  while (reader.optionalPrefix(XATTR)) {
    const to = reader.tokenEnd();
    const equals = reader.bytes.indexOf(0x3d, reader.at);
    if (equals < 0 || equals >= to) reader.fail('manifest-syntax', 'an extended attribute has no value');
    const out = new Uint8Array(equals - reader.at);
    const length = decodeVis(reader.bytes, reader.at, equals, out, 0);
    if (length <= 0 || length > MAX_NAME_BYTES) {
      reader.fail('manifest-syntax', "an extended attribute's name is empty, too long or badly escaped");
    }
    const name = Buffer.from(out.buffer, 0, length).toString('latin1');
    if (name <= previous) reader.fail('manifest-syntax', 'extended attributes are not in order of name');
    previous = name;
    xattrs.set(name, readValue(reader, equals + 1, to));
    reader.at = to;
  }
  return packXattrs(xattrs);
}

function readValue(reader: LineReader, from: number, to: number): Buffer {
  let value: Buffer;
  try {
    value = base64(reader.text(from, to), 'the value of an extended attribute');
  } catch (thrown) {
    return reader.fail('manifest-syntax', messageOf(thrown));
  }
  if (value.length > MAX_XATTR_BYTES) {
    reader.fail('manifest-too-large', `an extended attribute is longer than ${MAX_XATTR_BYTES} bytes`);
  }
  return value;
}

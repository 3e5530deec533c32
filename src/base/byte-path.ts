declare const bytePathBrand: unique symbol;

/**
 * A path below a measured root, as raw bytes: one UTF-16 code unit (0x01 to 0xff) for each byte, no leading
 * slash, no `.` or `..` component; the root itself is the empty string. Linux file names are bytes without an
 * encoding; held this way they compare, sort and key a Map byte by byte, at one byte of memory each.
 */
export type BytePath = string & { readonly [bytePathBrand]: true };

/** The root itself. */
export const ROOT_PATH: BytePath = '' as BytePath;

/** The raw bytes of a path, as system calls take them. */
export function pathBytes(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

/** A path from raw bytes that a directory listing or a decoder produced. The caller vouches for the form. */
export function bytePath(bytes: Uint8Array): BytePath {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') as BytePath;
}

/** A path from ordinary text such as `/usr/bin/env`: leading slashes go, UTF-8 becomes bytes. */
export function bytePathOfText(text: string): BytePath {
  return Buffer.from(text.replace(/^\/+/, ''), 'utf8').toString('latin1') as BytePath;
}

/** `name` (raw bytes, one code unit each) below `directory`. */
export function joinPath(directory: BytePath, name: string): BytePath {
  return (directory === '' ? name : `${directory}/${name}`) as BytePath;
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: BytePath, ancestor: BytePath): boolean {
  return ancestor === '' || path === ancestor || path.startsWith(`${ancestor}/`);
}

/** The directory that holds `path`; the root's parent is the root. */
export function parentPath(path: BytePath): BytePath {
  const slash = path.lastIndexOf('/');
  return (slash < 0 ? '' : path.slice(0, slash)) as BytePath;
}

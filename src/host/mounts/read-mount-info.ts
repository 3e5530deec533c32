import { closeSync, openSync, readSync } from 'node:fs';

import { HostError, errnoOf, hostErrorOf } from '../host-error.ts';

/** A table of 100,000 mounts, the most that the kernel allows by default, is some 15 MB. */
const MAX_BYTES = 32 * 1024 * 1024;

/** A table that changes between any two of this many readings is taken as it was in the last. */
const TRIES = 5;

let buffer = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * The bytes of a mount table, `last` itself where they have not changed. The kernel gives a table page by page,
 * and what is mounted between two pages can hide a line; so a new table is read until it is the same twice.
 * Undefined where there is no such process, or it may not be seen.
 * @throws HostError `file-too-large`, `io-failed`
 */
export function readMountInfo(path: string, last: Buffer | undefined): Buffer | undefined {
  try {
    let read = readOnce(path);
    if (last !== undefined && read.equals(last)) return last;
    let copy = Buffer.from(read);
    for (let tries = 1; tries < TRIES; tries += 1) {
      read = readOnce(path);
      if (read.equals(copy)) break;
      copy = Buffer.from(read);
    }
    return copy;
  } catch (cause) {
    if (['ENOENT', 'EACCES', 'EPERM', 'ESRCH', 'EINVAL'].includes(errnoOf(cause))) return undefined;
    throw hostErrorOf(`reading the mount table "${path}"`, cause);
  }
}

/** Good until the next call. */
function readOnce(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    let length = 0;
    for (;;) {
      if (length === buffer.length) grow(path);
      const read = readSync(file, buffer, length, buffer.length - length, null);
      if (read === 0) return buffer.subarray(0, length);
      length += read;
    }
  } finally {
    closeSync(file);
  }
}

function grow(path: string): void {
  if (buffer.length * 2 > MAX_BYTES) {
    throw new HostError('file-too-large', `the mount table "${path}" is larger than ${MAX_BYTES / 2} bytes`);
  }
  buffer = Buffer.concat([buffer], buffer.length * 2);
}

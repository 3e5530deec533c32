import { constants } from 'node:fs';

import {
  EAGAIN,
  EINTR,
  O_CLOEXEC,
  Pinned,
  errno,
  inotifyAddWatch,
  inotifyInit,
  read,
} from '../kernel/linux.ts';

/** Events (linux/inotify.h). */
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_UNMOUNT = 0x2000;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_ISDIR = 0x4000_0000;
const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
const IN_CLOSE_WRITE = 0x8;
const IN_ONLYDIR = 0x0100_0000;

/**
 * All that changes a directory or what stands in it. Reading and opening are not among it. IN_MODIFY comes with
 * each write, so that a writer that never closes its file is seen; a file written through a memory map shows when
 * map and file are closed (IN_CLOSE_WRITE), if it was opened for writing.
 */
const WATCHED =
  IN_MODIFY |
  IN_ATTRIB |
  IN_CLOSE_WRITE |
  IN_MOVED_FROM |
  IN_MOVED_TO |
  IN_CREATE |
  IN_DELETE |
  IN_DELETE_SELF |
  IN_MOVE_SELF |
  IN_ONLYDIR;

/** A read takes some 2,000 events. */
const READ_BYTES = 64 * 1024;
/** struct inotify_event without its name: wd, mask, cookie, length of the name with its padding. */
const HEADER_BYTES = 16;

const buffer = new Pinned(READ_BYTES);
const words = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset, READ_BYTES);
const path = new Pinned(64);

/** One event: of watch `wd`, about the name `bytes[from, to)`, empty where it is about the directory itself. */
export type OnEvent = (wd: number, mask: number, bytes: Uint8Array, from: number, to: number) => void;

/** A new queue of events, to be closed by the caller; or minus the errno. */
export function openInotify(): number {
  const opened = inotifyInit(O_CLOEXEC | constants.O_NONBLOCK);
  return opened < 0 ? -errno() : opened;
}

/**
 * Watches the directory behind an open descriptor: named through procfs, which leads to that very directory
 * whatever its path is by now. The watch's number, or minus the errno.
 */
export function addWatch(inotify: number, directory: number): number {
  const length = path.bytes.write(`/proc/self/fd/${directory}`, 'latin1');
  path.bytes[length] = 0;
  const wd = inotifyAddWatch(inotify, path.address, WATCHED);
  return wd < 0 ? -errno() : wd;
}

/** Takes the events that wait, one buffer of them at most; how many, or minus the errno. */
export function readEvents(inotify: number, onEvent: OnEvent): number {
  const length = read(inotify, buffer.address, READ_BYTES);
  if (length < 0) {
    const error = errno();
    return error === EAGAIN || error === EINTR ? 0 : -error;
  }
  let count = 0;
  for (let at = 0; at + HEADER_BYTES <= length; count += 1) {
    const from = at + HEADER_BYTES;
    const next = from + words.getUint32(at + 12, true);
    let to = from;
    while (to < next && buffer.bytes[to] !== 0) to += 1;
    onEvent(words.getInt32(at, true), words.getUint32(at + 4, true), buffer.bytes, from, to);
    at = next;
  }
  return count;
}

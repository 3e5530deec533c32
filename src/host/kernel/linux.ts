import { constants } from 'node:fs';
import { constants as osConstants } from 'node:os';

import koffi from 'koffi';

/**
 * The system calls that measuring needs and Node's fs does not give: relative to a directory's descriptor,
 * names as raw bytes, extended attributes. Addresses are numbers: a name inside a directory listing or the
 * packed manifest is passed where it stands, so a check of 100,000 files copies no name and makes no string.
 * Whoever passes an address keeps the memory alive; `Pinned` does.
 */
const libc = koffi.load(null);

type Call = (...args: number[]) => number;

const bind = (prototype: string): Call => libc.func(prototype) as Call;

/** openat(2) without a mode: nothing here creates a file. */
export const openat: Call = bind('int openat(int, uintptr_t, int)');
export const close: Call = bind('int close(int)');
/** statx(2); the last argument is the address of 256 bytes, read through `Stat`. */
export const statx: Call = bind('int statx(int, uintptr_t, int, uint, uintptr_t)');
export const getdents64: Call = bind('intptr_t getdents64(int, uintptr_t, size_t)');
/** lseek(2); a directory is listed again from its start. */
export const lseek: Call = bind('int64 lseek(int, int64, int)');
export const pread: Call = bind('intptr_t pread(int, uintptr_t, size_t, int64)');
/** preadv2(2): with `RWF_NOWAIT`, EAGAIN instead of a wait for the disk. */
export const preadv2: Call = bind('intptr_t preadv2(int, uintptr_t, int, int64, int)');
export const readlinkat: Call = bind('intptr_t readlinkat(int, uintptr_t, uintptr_t, size_t)');
export const flistxattr: Call = bind('intptr_t flistxattr(int, uintptr_t, size_t)');
export const fgetxattr: Call = bind('intptr_t fgetxattr(int, uintptr_t, uintptr_t, size_t)');
export const llistxattr: Call = bind('intptr_t llistxattr(uintptr_t, uintptr_t, size_t)');
export const lgetxattr: Call = bind('intptr_t lgetxattr(uintptr_t, uintptr_t, uintptr_t, size_t)');
/** getsockopt(2); the last two are the addresses of the value and of its length. */
export const getsockopt: Call = bind('int getsockopt(int, int, int, uintptr_t, uintptr_t)');
/** flock(2): with `LOCK_NB`, EAGAIN instead of a wait. */
export const flock: Call = bind('int flock(int, int)');
/** fcntl(2) with an argument that is a number. */
export const fcntl: Call = bind('int fcntl(int, int, int)');
/** posix_fadvise(2); returns the errno. `FADV_WILLNEED` starts a read and does not wait, `FADV_DONTNEED` forgets. */
export const fadvise: Call = bind('int posix_fadvise(int, int64, int64, int)');
/** ioctl(2) with the address of its argument. */
export const ioctl: Call = bind('int ioctl(int, ulong, uintptr_t)');
export const inotifyInit: Call = bind('int inotify_init1(int)');
export const inotifyAddWatch: Call = bind('int inotify_add_watch(int, uintptr_t, uint32_t)');
export const inotifyRemoveWatch: Call = bind('int inotify_rm_watch(int, int)');
export const eventfd: Call = bind('int eventfd(uint, int)');
export const eventfdWrite: Call = bind('int eventfd_write(int, uint64_t)');
/** poll(2); the first argument is the address of its array of struct pollfd. */
export const poll: Call = bind('int poll(uintptr_t, ulong, int)');
export const read: Call = bind('intptr_t read(int, uintptr_t, size_t)');

/** The error number of the call just made; read it before anything else. */
export const errno = (): number => koffi.errno();

const { errno: E } = osConstants;
export const ENOENT: number = E.ENOENT;
export const ENOTDIR: number = E.ENOTDIR;
export const ELOOP: number = E.ELOOP;
export const ENXIO: number = E.ENXIO;
export const EPERM: number = E.EPERM;
export const EINTR: number = E.EINTR;
export const ENODATA: number = E.ENODATA;
export const ERANGE: number = E.ERANGE;
export const EINVAL: number = E.EINVAL;
export const EOPNOTSUPP: number = E.EOPNOTSUPP;
export const E2BIG: number = E.E2BIG;
export const EAGAIN: number = E.EAGAIN;
export const ENOSPC: number = E.ENOSPC;
export const ENOTTY: number = E.ENOTTY;

const NAMES = new Map<number, string>(Object.entries(E).map(([name, number]) => [number, name]));

/** `EACCES` for 13. */
export function errnoName(number: number): string {
  return NAMES.get(number) ?? `errno ${number}`;
}

// Not in Node's constants: fcntl.h gives it the same value on every architecture.
export const O_CLOEXEC = 0o2000000;

/** A directory to list: never a link's target. */
export const OPEN_DIRECTORY: number =
  constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;

/** A file to read: never a link's target, and a FIFO that took its place does not block. */
export const OPEN_FILE: number =
  constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY | O_CLOEXEC;

/** Leaves the access time alone; allowed to the owner and with CAP_FOWNER. */
export const O_NOATIME: number = constants.O_NOATIME;

/** For the root, given as a path: the working directory as the place to start from (fcntl.h). */
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;

/** linux/fs.h and linux/fadvise.h, the same on every architecture that Node.js runs on. */
export const RWF_NOWAIT = 8;
export const FADV_WILLNEED = 3;
export const FADV_DONTNEED = 4;

/** Types in a directory listing (dirent.h). */
export const DT_UNKNOWN = 0;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;

// Held here for good: nothing may free memory whose address a system call was given.
const pinned: Uint8Array[] = [];

/** Memory that system calls write to, for the life of the thread. */
export class Pinned {
  readonly bytes: Buffer;
  readonly address: number;

  constructor(length: number) {
    this.bytes = Buffer.from(new ArrayBuffer(length));
    this.address = addressOf(this.bytes);
    pinned.push(this.bytes);
  }
}

/** The address of bytes that the caller keeps alive; shared memory has the same address in every thread. */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
}

/** An empty name: with `AT_EMPTY_PATH`, the descriptor itself. */
export const EMPTY_NAME: number = new Pinned(1).address;

import { closeSync, constants, openSync } from 'node:fs';

import koffi from 'koffi';

const libc = koffi.load(null);
const lsetxattr = libc.func('int lsetxattr(const char *, const char *, const void *, size_t, int)') as (
  path: string,
  name: string,
  value: Uint8Array,
  size: number,
  flags: number,
) => number;
const mmap = libc.func('uintptr_t mmap(uintptr_t, size_t, int, int, int, int64)') as (
  ...args: number[]
) => number;
const munmap = libc.func('int munmap(uintptr_t, size_t)') as (...args: number[]) => number;
const memset = libc.func('uintptr_t memset(uintptr_t, int, size_t)') as (...args: number[]) => number;

/** Sets an extended attribute, as setfattr(1), setcap(8) and setfacl(1) do. */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  if (lsetxattr(path, name, value, value.length, 0) !== 0) {
    throw new Error(`cannot set ${name} of ${path}: errno ${koffi.errno()}`);
  }
}

/** `cap_net_raw+ep` as the kernel keeps it (struct vfs_cap_data, revision 2). */
export const NET_RAW_CAPABILITY: Buffer = Buffer.from(Uint32Array.of(0x0200_0001, 1 << 13, 0, 0, 0).buffer);

/** An ACL that gives user 12345 read access, other bits as mode 0644 (struct posix_acl_xattr). */
export function readAclFor(uid: number): Buffer {
  const entries: [tag: number, permissions: number, id: number][] = [
    [0x01, 6, 0xffff_ffff],
    [0x02, 4, uid],
    [0x04, 4, 0xffff_ffff],
    [0x10, 4, 0xffff_ffff],
    [0x20, 4, 0xffff_ffff],
  ];
  const acl = Buffer.alloc(4 + entries.length * 8);
  acl.writeUInt32LE(2, 0);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    acl.writeUInt16LE(tag, 4 + i * 8);
    acl.writeUInt16LE(permissions, 6 + i * 8);
    acl.writeUInt32LE(id, 8 + i * 8);
  }
  return acl;
}

/** The first page of a file, mapped and shared: what is written there is in the file. */
export type SharedMap = { write: (byte: number, count: number) => void; close: () => void };

/** Maps a file and closes it; the map stays. */
export function mapShared(path: string): SharedMap {
  const PROT_READ_WRITE = 3;
  const MAP_SHARED = 1;
  const PAGE_BYTES = 4096;
  const file = openSync(path, constants.O_RDWR);
  const at = mmap(0, PAGE_BYTES, PROT_READ_WRITE, MAP_SHARED, file, 0);
  closeSync(file);
  return {
    write: (byte, count) => void memset(at, byte, count),
    close: () => void munmap(at, PAGE_BYTES),
  };
}

/** Writes the first bytes of a file through a shared memory map, and does not ask for them to be written back. */
export function writeThroughMap(path: string, byte: number, count: number): void {
  const map = mapShared(path);
  map.write(byte, count);
  map.close();
}

import { EPERM, O_NOATIME, OPEN_FILE, errno, openat } from '../kernel/linux.ts';

// A file that is not ours refuses O_NOATIME without CAP_FOWNER; then it is not asked for again.
let noAccessTime = O_NOATIME;

/**
 * Opens a file to read inside an open directory, never through a link and never waiting for a FIFO's other end,
 * and leaves its access time alone where that is allowed. `name` is the address of its NUL-terminated name.
 * @returns a descriptor, or -1, and `errno` says why
 */
export function openFile(directory: number, name: number): number {
  const opened = openat(directory, name, OPEN_FILE | noAccessTime);
  if (opened >= 0 || noAccessTime === 0 || errno() !== EPERM) return opened;
  noAccessTime = 0;
  return openat(directory, name, OPEN_FILE);
}

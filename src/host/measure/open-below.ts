import type { BytePath } from '../../base/byte-path.ts';
import { nameAddress } from './instruments.ts';
import { OPEN_DIRECTORY, close, errno, openat } from '../kernel/linux.ts';

/**
 * Opens the directory at `path` below an open root, name by name and never through a link; the caller closes it.
 * A descriptor, or minus the errno.
 */
export function openBelow(root: number, path: BytePath): number {
  let within = root;
  for (const name of path === '' ? ['.'] : path.split('/')) {
    const opened = openat(within, nameAddress(name), OPEN_DIRECTORY);
    const error = opened < 0 ? errno() : 0;
    if (within !== root) close(within);
    if (error !== 0) return -error;
    within = opened;
  }
  return within;
}

import { constants } from 'node:fs';

import { HostError } from '../host-error.ts';
import {
  AT_FDCWD,
  ENOENT,
  ENOTDIR,
  OPEN_DIRECTORY,
  Pinned,
  errno,
  errnoName,
  openat,
} from '../kernel/linux.ts';

/** PATH_MAX of Linux. */
const path = new Pinned(4096);

/**
 * Opens the root of a tree; the caller closes the descriptor. The operator named it, so a link at its end is
 * followed; nothing below it ever is.
 * @throws HostError `not-found`, `not-a-directory`, `tree-unreadable`
 */
export function openRoot(root: string): number {
  const length = path.bytes.write(root, 0, 4095);
  path.bytes[length] = 0;
  const opened = openat(AT_FDCWD, path.address, OPEN_DIRECTORY & ~constants.O_NOFOLLOW);
  if (opened >= 0) return opened;
  const error = errno();
  const codes = { [ENOENT]: 'not-found', [ENOTDIR]: 'not-a-directory' } as const;
  throw new HostError(
    codes[error] ?? 'tree-unreadable',
    `cannot open "${root}", the root of the tree: ${errnoName(error)}`,
    { hint: 'It must be a directory that this user may list.' },
  );
}

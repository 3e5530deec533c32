import { type BytePath, joinPath } from '../../base/byte-path.ts';
import type { Entry } from '../../manifest/entry.ts';
import { nameAddress } from './instruments.ts';
import { ELOOP, ENOENT, ENOTDIR, OPEN_DIRECTORY, close, errno, openat } from '../kernel/linux.ts';
import { readEntry } from './read-entry.ts';

/** A path that leads through a link is not looked up any further: what stands there is somewhere else. */
type ThroughLink = { through: BytePath };

/** What stands at a path below an open root, never through a link; undefined where nothing does; or the errno. */
export function lookUp(root: number, path: BytePath): Entry | ThroughLink | number | undefined {
  const names = path.split('/');
  const last = names.pop() ?? '';
  let within = root;
  let at = '' as BytePath;
  try {
    for (const name of names) {
      at = joinPath(at, name);
      const opened = openat(within, nameAddress(name), OPEN_DIRECTORY);
      const error = opened < 0 ? errno() : 0;
      if (error === ENOENT) return undefined;
      if (error === ENOTDIR || error === ELOOP) return belowNoDirectory(within, name, at);
      if (error !== 0) return error;
      if (within !== root) close(within);
      within = opened;
    }
    const entry = readEntry(within, nameAddress(last), last, path);
    return entry === ENOENT || entry === ENOTDIR ? undefined : entry;
  } finally {
    if (within !== root) close(within);
  }
}

function belowNoDirectory(within: number, name: string, path: BytePath): ThroughLink | number | undefined {
  const entry = readEntry(within, nameAddress(name), name, path);
  if (typeof entry === 'number') return entry === ENOENT ? undefined : entry;
  return entry.type === 'link' ? { through: path } : undefined;
}

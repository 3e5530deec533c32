import type { BytePath } from '../base/byte-path.ts';
import { displayPath } from '../base/display.ts';
import { type Finding, finding } from '../base/finding.ts';
import { absentFinding } from '../manifest/compare.ts';
import type { Entry } from '../manifest/entry.ts';
import { HostError } from './host-error.ts';
import { nameAddress } from './instruments.ts';
import { ELOOP, ENOENT, ENOTDIR, OPEN_DIRECTORY, close, errno, errnoName, openat } from './linux.ts';
import { readEntry } from './read-entry.ts';

/**
 * Looks each path up below an open root, never through a link: what is there, as findings. A path below
 * something that is no directory is absent; one that can't be looked up is a finding too.
 */
export function findPresent(root: number, absent: readonly BytePath[], at: string): [BytePath, Finding][] {
  return absent.flatMap((path): [BytePath, Finding][] => {
    const found = lookUp(root, path);
    if (found === undefined) return [];
    if (typeof found === 'number')
      return [[path, finding(path, 'unreadable', 'declared absent', errnoName(found), at)]];
    return [[path, absentFinding(found, at)]];
  });
}

/**
 * For a build: refuses a tree that holds what the release declares absent.
 * @throws HostError `absent-path-exists`, `tree-unreadable`
 */
export function requireAbsent(root: number, absent: readonly BytePath[]): void {
  for (const path of absent) {
    const found = lookUp(root, path);
    if (found === undefined) continue;
    if (typeof found === 'number') {
      throw new HostError('tree-unreadable', `cannot look up "/${displayPath(path)}": ${errnoName(found)}`);
    }
    throw new HostError('absent-path-exists', `"/${displayPath(path)}" is declared absent, but it exists`, {
      hint: 'Remove it from the image, or from "absent" under "measure".',
    });
  }
}

/** What stands at a path; undefined where nothing does; or the errno. */
function lookUp(root: number, path: BytePath): Entry | number | undefined {
  const names = path.split('/');
  const last = names.pop() ?? '';
  let within = root;
  try {
    for (const name of names) {
      const opened = openat(within, nameAddress(name), OPEN_DIRECTORY);
      const error = opened < 0 ? errno() : 0;
      if (error === ENOENT || error === ENOTDIR || error === ELOOP) return undefined;
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

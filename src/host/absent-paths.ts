import { type BytePath, joinPath } from '../base/byte-path.ts';
import { displayPath } from '../base/display.ts';
import { type Finding, finding } from '../base/finding.ts';
import { absentFinding } from '../manifest/compare.ts';
import type { Entry } from '../manifest/entry.ts';
import { HostError } from './host-error.ts';
import { nameAddress } from './instruments.ts';
import { ELOOP, ENOENT, ENOTDIR, OPEN_DIRECTORY, close, errno, errnoName, openat } from './linux.ts';
import { readEntry } from './read-entry.ts';

/** A path that leads through a link is not looked up any further: what stands there is somewhere else. */
type ThroughLink = { through: BytePath };

/**
 * Looks each path up below an open root, never through a link: what is there, as findings. A path below a file
 * is absent; one that leads through a link, or can't be looked up, is a finding too.
 */
export function findPresent(root: number, absent: readonly BytePath[], at: string): [BytePath, Finding][] {
  return absent.flatMap((path): [BytePath, Finding][] => {
    const found = lookUp(root, path);
    if (found === undefined) return [];
    if (typeof found === 'number') {
      return [[path, finding(path, 'unreadable', 'declared absent', errnoName(found), at)]];
    }
    if ('through' in found) {
      const actual = `leads through the link /${displayPath(found.through)}`;
      return [[path, finding(path, 'type', 'declared absent', actual, at)]];
    }
    return [[path, absentFinding(found, at)]];
  });
}

/**
 * For a build: refuses a tree that holds what the release declares absent.
 * @throws HostError `absent-path-exists`, `rule-unusable` for a path through a link, `tree-unreadable`
 */
export function requireAbsent(root: number, absent: readonly BytePath[]): void {
  for (const path of absent) {
    const found = lookUp(root, path);
    if (found === undefined) continue;
    if (typeof found === 'number') {
      throw new HostError('tree-unreadable', `cannot look up "/${displayPath(path)}": ${errnoName(found)}`);
    }
    if ('through' in found) {
      throw new HostError(
        'rule-unusable',
        `"/${displayPath(path)}" is declared absent, but leads through the link "/${displayPath(found.through)}"`,
        { hint: 'Under "measure", name it by a path without links.' },
      );
    }
    throw new HostError('absent-path-exists', `"/${displayPath(path)}" is declared absent, but it exists`, {
      hint: 'Remove it from the image, or from "absent" under "measure".',
    });
  }
}

/** What stands at a path; undefined where nothing does; or the errno. */
function lookUp(root: number, path: BytePath): Entry | ThroughLink | number | undefined {
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

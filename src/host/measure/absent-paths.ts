import type { BytePath } from '../../base/byte-path.ts';
import { displayPath } from '../../base/display.ts';
import { type Finding, finding } from '../../base/finding.ts';
import { absentFinding } from '../../manifest/compare.ts';
import { HostError } from '../host-error.ts';
import { errnoName } from '../kernel/linux.ts';
import { lookUp } from './look-up.ts';

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

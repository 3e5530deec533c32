import type { BytePath } from '../../base/byte-path.ts';
import { displayPath } from '../../base/display.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { MutableFile } from '../../base/mutable-rules.ts';
import { describeEntry } from '../../manifest/compare.ts';
import type { Entry } from '../../manifest/entry.ts';
import { errnoName } from '../kernel/linux.ts';
import { lookUp } from './look-up.ts';

/**
 * Checks the mutable files below an open root: each may be missing and may hold anything, but its type, mode and
 * owner are bounded and it has no capability. Nothing is opened, and nothing looked up through a link.
 */
export function checkMutableFiles(
  root: number,
  files: ReadonlyMap<BytePath, MutableFile>,
  at: string,
): [BytePath, Finding][] {
  return [...files].flatMap(([path, file]): [BytePath, Finding][] => {
    const found = lookUp(root, path);
    if (found === undefined) return [];
    const say = (kind: Finding['kind'], actual: string): [BytePath, Finding][] => [
      [path, finding(path, kind, describeFile(file), actual, at)],
    ];
    if (typeof found === 'number') return say('unreadable', errnoName(found));
    if ('through' in found) return say('type', `leads through the link /${displayPath(found.through)}`);
    const kind = kindOf(found, file);
    return kind === undefined ? [] : say(kind, describeEntry(found));
  });
}

function kindOf(found: Entry, file: MutableFile): Finding['kind'] | undefined {
  const isLink = found.type === 'link';
  if (found.type !== 'file' && !(isLink && file.link)) return 'type';
  if (found.xattrs?.has('security.capability') === true || (!isLink && (found.mode & 0o6000) !== 0)) {
    return 'unbounded';
  }
  // A link's own mode means nothing; it is 0777 wherever it is.
  const wide = !isLink && (found.mode & ~Number.parseInt(file.mode, 8)) !== 0;
  return wide || found.uid !== file.uid || found.gid !== file.gid ? 'metadata' : undefined;
}

function describeFile({ mode, uid, gid, link }: MutableFile): string {
  return `${link ? 'type=file|link' : 'type=file'} mode<=${mode} uid=${uid} gid=${gid}, or nothing`;
}

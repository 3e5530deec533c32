import type { BytePath } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { MountOption } from '../../base/mount-rules.ts';
import type { Mount } from './mount-info.ts';
import { describeMount, describeOptions, optionsOf } from './mount-options.ts';
import { type MountScope, placeKind } from './mount-scope.ts';
import { type MountTable, pathInTree } from './mount-table.ts';

/** Options that a measured mount never loses: each takes from whoever uses it. `rw` may become `ro`. */
const KEPT: readonly MountOption[] = ['ro', 'nosuid', 'nodev', 'noexec', 'nosymfollow'];
/** Options that a mount in a mutable area never loses while it stays mounted: the bounds of the area. */
const KEPT_WHERE_MUTABLE: readonly MountOption[] = ['nosuid', 'nodev'];

type Seen = { mount: Mount; place: string };

/**
 * Remembers each mount as it was first seen and says what became of it: rules leave room (any type, an option
 * that they do not ask for), and a machine may not move in that room once it was measured.
 */
export type MountHistory = (table: MountTable, at: string) => Finding[];

export function createMountHistory(root: BytePath, rules: MountScope): MountHistory {
  const measured = new Map<BytePath, Seen>();
  let mutable = new Map<number, Mount>();
  const compareRoot = (table: MountTable, at: string): Finding[] => {
    const mount = table.at(root);
    if (mount === undefined) return [];
    return compareMeasured(measured, '' as BytePath, { mount, place: table.placeOf(root) }, at);
  };
  return (table, at) => {
    const findings = compareRoot(table, at);
    const mutableNow = new Map<number, Mount>();
    for (const mount of table.mounts) {
      const path = pathInTree(root, mount.path);
      if (path === undefined || path === '' || !table.isVisible(mount)) continue;
      const kind = placeKind(rules, path);
      if (kind === 'measured') {
        // An automount and what it mounts take turns.
        if (mount.type === 'autofs') continue;
        findings.push(...compareMeasured(measured, path, { mount, place: table.placeOf(mount.path) }, at));
      } else if (kind === 'mutable') {
        mutableNow.set(mount.id, mount);
        const before = mutable.get(mount.id);
        if (before?.path === mount.path) {
          findings.push(...compareOptions(path, before, mount, KEPT_WHERE_MUTABLE, at));
        }
      }
    }
    mutable = mutableNow;
    return findings;
  };
}

function compareMeasured(seen: Map<BytePath, Seen>, path: BytePath, now: Seen, at: string): Finding[] {
  const before = seen.get(path);
  if (before === undefined) {
    seen.set(path, now);
    return [];
  }
  if (before.place !== now.place || before.mount.type !== now.mount.type) {
    const expected = `as it was before: ${describeMount(before.mount)}`;
    return [finding(path, 'overmounted', expected, describeMount(now.mount), at)];
  }
  return compareOptions(path, before.mount, now.mount, KEPT, at);
}

function compareOptions(
  path: BytePath,
  before: Mount,
  now: Mount,
  kept: readonly MountOption[],
  at: string,
): Finding[] {
  const had = optionsOf(before);
  const has = optionsOf(now);
  if (kept.every((option) => !had.has(option) || has.has(option))) return [];
  const expected = `as it was before: options=${describeOptions(had)}`;
  return [finding(path, 'mount-options', expected, `options=${describeOptions(has)}`, at)];
}

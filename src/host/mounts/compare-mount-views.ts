import type { BytePath } from '../../base/byte-path.ts';
import { escapeText } from '../../base/display.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { BoundsPlan } from '../measure/bounds-plan.ts';
import { type MountScope, placeKind } from './mount-scope.ts';
import { type MountTable, pathInTable, pathInTree } from './mount-table.ts';

/** The agent's own mount table and that of PID 1: one and the same where both are in one namespace. */
export type MountViews = {
  own: MountTable;
  /** Undefined where PID 1 can't be seen. */
  init: MountTable | undefined;
};

/**
 * Whether the agent sees the measured tree that the machine runs on: every measured path must lead to the same
 * object (device, and path in its file system) in its own mount table and in that of PID 1. A mount that only
 * makes a unit's own view stricter (systemd binds /usr onto itself, read-only) leads to the same object.
 */
export function compareMountViews(
  { own, init }: MountViews,
  root: BytePath,
  rules: MountScope,
  plan: BoundsPlan,
  at: string,
): Finding[] {
  if (init === undefined || init === own) return [];
  const compare = (path: BytePath): Finding | undefined => {
    const place = pathInTable(root, path);
    const expected = init.placeOf(place);
    const actual = own.placeOf(place);
    if (expected === actual) return undefined;
    const words = [
      `as PID 1 sees it: ${escapeText(expected)}`,
      `this process sees ${escapeText(actual)}`,
    ] as const;
    return finding(path, 'overmounted', ...words, at);
  };
  const rootFinding = compare('' as BytePath);
  // All that lies in another tree differs too; once is enough.
  if (rootFinding !== undefined) return [rootFinding];
  // What is looked into must be the machine's too: a unit with a /tmp of its own would look at nothing.
  const paths = new Set<BytePath>(
    plan.starts.map(({ path }) => path).filter((path) => rules.areas.has(path)),
  );
  for (const table of [own, init]) {
    for (const mount of table.mounts) {
      const path = pathInTree(root, mount.path);
      if (path === undefined || path === '' || !table.isVisible(mount)) continue;
      if (placeKind(rules, path) === 'measured') paths.add(path);
    }
  }
  return [...paths].flatMap((path) => compare(path) ?? []);
}

import type { BytePath } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { MountRule } from '../../base/mount-rules.ts';
import type { Mount } from './mount-info.ts';
import { describeMount, describeOptions, optionsOf } from './mount-options.ts';
import { type MountScope, placeKind } from './mount-scope.ts';
import { type MountTable, pathInTable, pathInTree } from './mount-table.ts';

/**
 * Compares a mount table with the rules of a release: over or under what is measured only such mounts may lie
 * as a rule describes; in mutable areas any may, and a rule says what one there must be like.
 *
 * `root` is where the tree lies. With `placesOnly`, only where something is mounted is judged: how a tree is
 * mounted elsewhere (in the pipeline, from a snapshot) says nothing about the machine that it is for.
 */
export function judgeMounts(
  table: MountTable,
  root: BytePath,
  rules: MountScope,
  placesOnly: boolean,
  at: string,
): Finding[] {
  const findings: Finding[] = [];
  for (const mount of table.mounts) {
    const path = pathInTree(root, mount.path);
    if (path === undefined || path === '' || !table.isVisible(mount)) continue;
    if (placeKind(rules, path) !== 'measured') continue;
    const stray = strayMount(table, mount, path, rules);
    if (stray === undefined) continue;
    const expected = rules.rules.has(path) ? 'one mount' : 'no mount';
    findings.push(finding(path, 'overmounted', expected, describeMount(stray), at));
  }
  if (placesOnly) return findings;
  for (const [path, rule] of rules.rules) {
    const place = pathInTable(root, path);
    const mount = table.at(place);
    if (mount !== undefined && (path === '' || mount.path === place)) {
      findings.push(...judgeByRule(mount, path, rule, rules, at));
    } else if (!rule.optional) {
      findings.push(finding(path, 'mount-options', describeRule(rule), 'nothing is mounted there', at));
    }
  }
  return findings;
}

/** Of the mounts at one measured path, `top` first, the one that may not be there. */
function strayMount(table: MountTable, top: Mount, path: BytePath, rules: MountScope): Mount | undefined {
  const rule = rules.rules.get(path);
  const stack = [top, ...table.below(top)];
  if (isExtension(top, path, rules)) stack.shift();
  if (rule === undefined) return stack[0];
  // An automount lies below what it mounted; whether one may be there is for the rule to say.
  const more = stack.slice(1).some(({ type }) => type !== 'autofs' || !rule.types.includes('autofs'));
  return more ? stack[0] : undefined;
}

/** The overlay of systemd-sysext(8), where the release allows it: read-only, so that it shows what it shows. */
function isExtension(mount: Mount, path: BytePath, { extensions }: MountScope): boolean {
  return mount.type === 'overlay' && extensions.has(path) && optionsOf(mount).has('ro');
}

function judgeByRule(
  mount: Mount,
  path: BytePath,
  rule: MountRule,
  rules: MountScope,
  at: string,
): Finding[] {
  if (isExtension(mount, path, rules)) return [];
  const { types, require, forbid } = rule;
  if (types.length > 0 && !types.includes(mount.type)) {
    return [finding(path, 'overmounted', describeRule(rule), describeMount(mount), at)];
  }
  // An automount that nothing has come to use yet holds no file.
  if (mount.type === 'autofs') return [];
  const options = optionsOf(mount);
  if (require.every((option) => options.has(option)) && !forbid.some((option) => options.has(option))) {
    return [];
  }
  return [finding(path, 'mount-options', describeRule(rule), `options=${describeOptions(options)}`, at)];
}

function describeRule({ types, require, forbid }: MountRule): string {
  const words = [
    'mount',
    types.length === 0 ? '' : `type=${types.join('|')}`,
    require.length === 0 ? '' : `options=${require.join(',')}`,
    forbid.length === 0 ? '' : `without=${forbid.join(',')}`,
  ];
  return words.filter((word) => word !== '').join(' ');
}

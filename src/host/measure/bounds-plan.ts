import { type BytePath, ROOT_PATH, parentPath } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { MountOption } from '../../base/mount-rules.ts';
import type { Bound } from '../../base/mutable-rules.ts';
import type { Mount } from '../mounts/mount-info.ts';
import { describeMount, optionsOf } from '../mounts/mount-options.ts';
import type { MountScope } from '../mounts/mount-scope.ts';
import { type MountTable, pathInTable, pathInTree } from '../mounts/mount-table.ts';

/** Where to look, to see that mutable areas keep within their bounds. */
export type BoundsPlan = {
  /** Directories to look into with all below, but for the borders; and what may not be there. */
  starts: { path: BytePath; bounds: ReadonlySet<Bound> }[];
  /** Directories that are not entered from above: each is a start itself, or not looked into. */
  borders: ReadonlySet<BytePath>;
};

/** File systems in which the kernel alone makes files, and automounts that nothing has come to use yet. */
const KERNEL_MADE: ReadonlySet<string> = new Set([
  'autofs',
  'binfmt_misc',
  'bpf',
  'cgroup',
  'cgroup2',
  'configfs',
  'debugfs',
  'devpts',
  'efivarfs',
  'fusectl',
  'nsfs',
  'proc',
  'pstore',
  'rpc_pipefs',
  'securityfs',
  'selinuxfs',
  'sysfs',
  'tracefs',
]);

/** File systems behind which another machine or process stands, for whose answer the agent must not wait. */
const ANSWERED_ELSEWHERE =
  /^(?:9p|afs|ceph|cifs|fuse|fuse\..*|fuseblk|glusterfs|lustre|nfs4?|smb3|smbfs|virtiofs)$/;

/**
 * Plans the look into the mutable areas of a tree. A mount for which the release demands `nosuid` and `nodev` is
 * not entered: there, the kernel gives no setuid bit, capability or device node any effect, and the mount tables
 * show each second that it stays so. A file system that may never answer is not entered either, but must be
 * mounted so.
 */
export function planBounds(
  table: MountTable,
  root: BytePath,
  rules: MountScope,
  demandsHold: boolean,
  at: string,
): { plan: BoundsPlan; findings: Finding[] } {
  const starts: BoundsPlan['starts'] = [];
  const borders = new Set(rules.areas.keys());
  const findings: Finding[] = [];
  const consider = (mount: Mount | undefined, path: BytePath, bounds: ReadonlySet<Bound>): void => {
    if (bounds.size === 0) return;
    if (mount === undefined) return void starts.push({ path, bounds });
    if (KERNEL_MADE.has(mount.type)) return;
    const needed = optionsFor(bounds);
    const demanded = rules.rules.get(pathInTree(root, mount.path) ?? ROOT_PATH)?.require ?? [];
    if (demandsHold && needed.every((option) => demanded.includes(option))) return;
    if (!ANSWERED_ELSEWHERE.test(mount.type)) return void starts.push({ path, bounds });
    const options = optionsOf(mount);
    if (needed.every((option) => options.has(option))) return;
    const expected = `options=${needed.join(',')} on a file system that can't be looked into`;
    findings.push(finding(path, 'unbounded', expected, describeMount(mount), at));
  };
  for (const [path, bounds] of rules.areas) consider(table.at(pathInTable(root, path)), path, bounds);
  for (const mount of table.mounts) {
    const path = pathInTree(root, mount.path);
    if (path === undefined || borders.has(path) || !table.isVisible(mount)) continue;
    const area = areaOf(rules, path);
    if (area === undefined) continue;
    borders.add(path);
    consider(mount, path, area);
  }
  return { plan: { starts, borders }, findings };
}

/** The bounds of the innermost mutable area that holds `path`. */
function areaOf({ areas }: MountScope, path: BytePath): ReadonlySet<Bound> | undefined {
  for (let at = path; ; at = parentPath(at)) {
    const bounds = areas.get(at);
    if (bounds !== undefined || at === ROOT_PATH) return bounds;
  }
}

/** The options under which what is out of bounds has no effect (mount(8)). */
function optionsFor(bounds: ReadonlySet<Bound>): MountOption[] {
  const needed: MountOption[] = [];
  if (bounds.has('setuid') || bounds.has('setgid') || bounds.has('capabilities')) needed.push('nosuid');
  if (bounds.has('devices')) needed.push('nodev');
  return needed;
}

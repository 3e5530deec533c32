import { type BytePath, ROOT_PATH, isWithin, joinPath } from '../../base/byte-path.ts';
import type { Mount } from './mount-info.ts';

/** A mount table as path lookup sees it. */
export type MountTable = {
  readonly mounts: readonly Mount[];
  /** The mount that is reached at `path`, past all that is mounted over others; undefined in a strange chroot. */
  at: (path: BytePath) => Mount | undefined;
  /** Whether lookup reaches the mount at its own path; what another one covers is not seen by anybody. */
  isVisible: (mount: Mount) => boolean;
  /** The mounts that `mount` covers at its very path, the nearest first. */
  below: (mount: Mount) => Mount[];
  /** Which object a path leads to, whatever mounts lead there: the device, and the path inside its file system. */
  placeOf: (path: BytePath) => string;
};

/** Indexes a table: each question costs a step for each name in the path. */
export function createMountTable(mounts: readonly Mount[]): MountTable {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const children = new Map<number, Map<BytePath, Mount>>();
  for (const mount of mounts) {
    if (mount.parent === mount.id) continue;
    const siblings = children.get(mount.parent) ?? new Map<BytePath, Mount>();
    children.set(mount.parent, siblings.set(mount.path, mount));
  }
  const isFirst = ({ id, parent }: Mount): boolean => parent === id || !byId.has(parent);
  const first = mounts.find((mount) => mount.path === ROOT_PATH && isFirst(mount));
  // In a chroot that is no mount point, the mount that it lies on is not listed.
  const firstId = first?.id ?? mounts.find(isFirst)?.parent ?? 0;

  const at = (path: BytePath): Mount | undefined => {
    let reached = first;
    for (const prefix of prefixesOf(path)) {
      for (;;) {
        const over = children.get(reached?.id ?? firstId)?.get(prefix);
        if (over === undefined) break;
        reached = over;
      }
    }
    return reached;
  };
  return {
    mounts,
    at,
    isVisible: (mount) => at(mount.path) === mount,
    below: (mount) => {
      const covered: Mount[] = [];
      for (let next = byId.get(mount.parent); next !== undefined; next = byId.get(next.parent)) {
        if (next.path !== mount.path) break;
        covered.push(next);
        if (next.parent === next.id) break;
      }
      return covered;
    },
    placeOf: (path) => {
      const mount = at(path);
      if (mount === undefined) return 'what no mount table names';
      const within = mount.root.replace(/^\/+/, '') as BytePath;
      const rest = mount.path === '' ? path : (path.slice(mount.path.length + 1) as BytePath);
      return `${mount.device} /${rest === '' ? within : joinPath(within, rest)}`;
    },
  };
}

/** "", "a", "a/b" for "a/b". */
function prefixesOf(path: BytePath): BytePath[] {
  const prefixes: BytePath[] = [ROOT_PATH];
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    prefixes.push(path.slice(0, at) as BytePath);
  }
  if (path !== '') prefixes.push(path);
  return prefixes;
}

/** The path inside a tree that lies at `root`; undefined for one that is not in it. */
export function pathInTree(root: BytePath, path: BytePath): BytePath | undefined {
  if (!isWithin(path, root)) return undefined;
  return (root === '' ? path : path.slice(root.length + 1)) as BytePath;
}

/** `path` of a tree that lies at `root`, as the mount table has it. */
export function pathInTable(root: BytePath, path: BytePath): BytePath {
  return path === '' ? root : joinPath(root, path);
}

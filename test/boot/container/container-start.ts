import { existsSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where systemd keeps its control groups, in version 2, or in a hierarchy of its own beside version 1. */
const TREES = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd'];

/**
 * The shell's part of a start, in namespaces of its own; its arguments go to systemd-nspawn.
 *
 * The container gets control groups of its own by `group`, which nspawn would make at the top of the tree
 * otherwise, and a /run of its own, since nspawn leaves things there. Nothing asks a systemd on the host, for there
 * may be none. `off` keeps nspawn from writing to the image.
 */
export function startScript(group: string): string {
  return [
    'set -e',
    `for tree in ${TREES.join(' ')}; do`,
    `  if [ -e $tree/cgroup.procs ]; then mkdir $tree/${group}; echo $$ > $tree/${group}/cgroup.procs; fi`,
    'done',
    'mount -t tmpfs -o mode=755 tmpfs /run',
    // 133: the machine wants to be rebooted, and whoever watches over it is to start it again.
    'code=133',
    'while [ $code = 133 ]; do',
    '  code=0; systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --link-journal=no' +
      ' --network-namespace-path=/proc/self/ns/net --resolv-conf=off --timezone=off "$@" || code=$?',
    'done',
    'exit $code',
  ].join('\n');
}

/** Removes the control groups of a container; false while a process is left in one. */
export function leaveGroups(group: string): boolean {
  for (const tree of TREES) {
    const top = join(tree, group);
    if (!existsSync(top)) continue;
    const below = readdirSync(top, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const directory of [...below.toSorted().toReversed(), top]) {
      if (readFileSync(join(directory, 'cgroup.procs'), 'latin1') !== '') return false;
      try {
        rmdirSync(directory);
      } catch {
        return false; // the kernel has not let go of it yet
      }
    }
  }
  return true;
}

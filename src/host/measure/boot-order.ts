import { type PackedTree, TYPE_DIR, findChild, nameOf } from '../../manifest/packed-tree.ts';

/**
 * What is read first, in this order: what decides who gets in and what runs, from the agent itself on. Whoever
 * tampers with a machine to stay on it mostly does so here, so that such an image is refused in the first second;
 * the rest is read all the same before anything is trusted. A path stands for all that lies below it; `*` is any
 * part of a name, and such a pattern means files alone.
 */
const FIRST: readonly (readonly string[])[] = [
  ['usr/lib/sealborn', 'usr/bin/sealborn', 'usr/share/sealborn', 'etc/sealborn'],
  // The loader, what it preloads, and the C library: code in every process.
  ['usr/lib*/ld-linux*', 'usr/lib/*/ld-linux*', 'usr/lib*/libc.so*', 'usr/lib/*/libc.so*'],
  ['lib*/ld-linux*', 'lib/*/ld-linux*', 'lib/*/libc.so*', 'lib/ld-musl*'],
  // All files of /etc itself: passwd, shadow, sudoers, crontab, profile, ld.so.*, pam.conf.
  ['etc/*', 'etc/ld.so.conf.d', 'etc/pam.d', 'etc/security', 'usr/lib/pam.d'],
  [
    'usr/lib*/security/*',
    'usr/lib/*/security/*',
    'usr/lib*/libpam*',
    'usr/lib/*/libpam*',
    'lib/*/security/*',
  ],
  ['etc/sudoers.d', 'usr/bin/sudo', 'usr/bin/su', 'bin/su', 'usr/libexec/sudo', 'usr/lib/sudo'],
  ['etc/ssh', 'usr/sbin/sshd', 'usr/lib/openssh', 'usr/libexec/openssh'],
  ['etc/systemd', 'usr/lib/systemd', 'lib/systemd', 'usr/lib/udev/rules.d', 'etc/udev'],
  ['etc/cron.d', 'etc/profile.d', 'etc/init.d', 'etc/modprobe.d', 'usr/lib/modprobe.d'],
];

/** The rank of whatever is not read before the rest. */
export const LAST_RANK: number = FIRST.length;

/** The rank of each entry: its place in `FIRST`, or `LAST_RANK`. */
export function rankEntries(tree: PackedTree): Uint8Array {
  const ranks = new Uint8Array(tree.count).fill(LAST_RANK);
  // From the last: where two patterns meet, the earlier one counts.
  for (let rank = LAST_RANK - 1; rank >= 0; rank -= 1) {
    for (const pattern of FIRST[rank] ?? []) {
      const filesOnly = pattern.includes('*');
      for (const index of matches(tree, pattern)) {
        if (!filesOnly || tree.type[index] !== TYPE_DIR) ranks.fill(rank, index, tree.end[index]);
      }
    }
  }
  return ranks;
}

function matches(tree: PackedTree, pattern: string): number[] {
  return pattern
    .split('/')
    .reduce((found, part) => found.flatMap((directory) => matchingChildren(tree, directory, part)), [0]);
}

/** The children of a directory whose name is `part`, where one `*` stands for anything. */
function matchingChildren(tree: PackedTree, directory: number, part: string): number[] {
  const [before = '', after] = part.split('*');
  if (after === undefined) {
    const name = Buffer.from(part, 'latin1');
    const child = findChild(tree, directory, name, 0, name.length);
    return child < 0 ? [] : [child];
  }
  const children = tree.childList.subarray(tree.childAt[directory], tree.childAt[directory + 1]);
  return [...children].filter((child) => {
    const name = nameOf(tree, child);
    return name.length >= before.length + after.length && name.startsWith(before) && name.endsWith(after);
  });
}

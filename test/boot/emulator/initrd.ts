import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Opens the root file system by its root hash, which only the kernel command line says, and starts the image's init. */
const INIT = `#!/bin/busybox sh
export PATH=/bin DM_DISABLE_UDEV=1
/bin/busybox --install /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
left=600
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do
  left=$((left - 1))
  [ $left -gt 0 ] || { echo "initrd: there are no disks"; exec poweroff -f; }
  sleep 0.1
done
hash=$(sed 's/.*roothash=\\([0-9a-f]*\\).*/\\1/' /proc/cmdline)
veritysetup open --panic-on-corruption /dev/vda root /dev/vdb $hash || exec poweroff -f
mount -t erofs -o ro,nodev /dev/mapper/root /sysroot || exec poweroff -f
for place in dev proc sys; do mount --move /$place /sysroot/$place; done
exec switch_root /sysroot /sbin/init
`;

/** Makes the initial file system: busybox, the modules, veritysetup of this machine with its libraries. */
export function makeInitrd(root: string, modules: readonly string[], place: string): string {
  const tree = join(place, 'initrd');
  for (const name of ['bin', 'proc', 'sys', 'dev', 'run/cryptsetup', 'sysroot', 'modules', 'tmp']) {
    mkdirSync(join(tree, name), { recursive: true });
  }
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'));
  for (const file of modules) copyFileSync(join(root, 'usr', file), join(tree, 'modules', basename(file)));
  writeFileSync(join(tree, 'modules/order'), `${modules.map((file) => basename(file)).join('\n')}\n`);
  const veritysetup = '/usr/sbin/veritysetup';
  copyFileSync(veritysetup, join(tree, 'bin/veritysetup'));
  const linked = execFileSync('ldd', [veritysetup], { encoding: 'utf8' });
  for (const [, library = ''] of linked.matchAll(/(\/\S+) \(0x/g)) {
    mkdirSync(join(tree, dirname(library)), { recursive: true });
    copyFileSync(library, join(tree, library));
  }
  writeFileSync(join(tree, 'init'), INIT);
  chmodSync(join(tree, 'init'), 0o755);
  const file = join(place, 'initrd.img');
  execFileSync('sh', ['-c', `find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 > "$1"`, 'sh', file], {
    cwd: tree,
  });
  return file;
}

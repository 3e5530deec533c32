import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { cacheDirectory } from '../debian-root.ts';

/** Debian's kernel for clouds: small, and it has what a virtual machine needs. */
const METAPACKAGE = 'linux-image-cloud-amd64';

export type Kernel = { version: string; package: string };

/** The package of the newest kernel that apt knows, kept in the cache. Root installs nothing: it is taken apart. */
export function debianKernel(): Kernel {
  const depends = execFileSync('apt-cache', ['depends', METAPACKAGE], { encoding: 'utf8' });
  const name = /linux-image-(\d\S+)/.exec(depends)?.[0];
  if (name === undefined) throw new Error(`apt knows no ${METAPACKAGE}; has "apt-get update" run?`);
  const version = name.replace('linux-image-', '');
  const file = join(cacheDirectory(), `${name}.deb`);
  if (!existsSync(file)) {
    mkdirSync(cacheDirectory(), { recursive: true });
    const place = mkdtempSync(join(cacheDirectory(), 'kernel-'));
    try {
      execFileSync('apt-get', ['--quiet=2', 'download', name], {
        cwd: place,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      renameSync(join(place, readdirSync(place)[0] ?? ''), file);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  }
  return { version, package: file };
}

/** The kernel, and the files of the modules for the initial file system in the order in which they are loaded. */
export type InstalledKernel = { vmlinuz: string; modules: string[] };

/**
 * Unpacks the kernel beside the image, and puts those of its modules that the machine needs into the image.
 * @param early the modules that the root file system needs
 * @param late those that are loaded by udev
 */
export function installKernel(
  root: string,
  place: string,
  early: readonly string[],
  late: readonly string[],
): InstalledKernel {
  const kernel = debianKernel();
  const unpacked = join(place, 'kernel');
  mkdirSync(unpacked);
  execFileSync('dpkg-deb', ['--extract', kernel.package, unpacked]);
  // Not into the root itself: its /lib is a link, in whose place a package's /lib would be put.
  execFileSync('cp', ['-a', join(unpacked, 'lib/modules'), join(root, 'usr/lib/modules')]);
  const depmod = (): void => void execFileSync('chroot', [root, 'depmod', kernel.version]);
  depmod();
  const modules = moduleFiles(root, kernel.version, early);
  const kept = new Set([...modules, ...moduleFiles(root, kernel.version, late)]);
  // An emulated machine takes a minute to read what is left; the others would cost it another quarter.
  const directory = join(root, 'usr/lib/modules');
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (name.endsWith('.ko') && !kept.has(join('/lib/modules', name))) rmSync(join(directory, name));
  }
  depmod();
  return { vmlinuz: join(unpacked, `boot/vmlinuz-${kernel.version}`), modules };
}

/** The files of the modules that make `names` work, in the order in which they are to be loaded. */
function moduleFiles(root: string, version: string, names: readonly string[]): string[] {
  const files = names.flatMap((name) => {
    const command = [root, 'modprobe', '--set-version', version, '--show-depends', name];
    const said = execFileSync('chroot', command, { encoding: 'utf8' });
    return [...said.matchAll(/^insmod (\S+)/gm)].map(([, file]) => file ?? '');
  });
  return [...new Set(files)];
}

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Another number where what is done below changes, so that no root of before is taken. */
const RECIPE = 3;

/**
 * What of Debian is in the image beside what sealborn's package depends on. Devices, fs-verity and the TPM concern
 * emulated machines alone, which are made of the same image.
 */
export const PACKAGES: readonly string[] = [
  'dbus',
  'fsverity',
  'kmod',
  'libatomic1',
  'libtss2-tcti-device0',
  'systemd-sysv',
  'tpm-udev',
  'tpm2-tools',
  'udev',
];

/** What no machine that is booted here reads: an emulated one takes a second for each few megabytes of its image. */
const NOT_NEEDED = [
  '/usr/lib/udev/hwdb.d',
  '/usr/share/doc',
  '/usr/share/info',
  '/usr/share/locale',
  '/usr/share/zoneinfo',
];

export type DebianRoot = { tar: string; suite: string };

/**
 * A minimal Debian of this machine's version with the named packages, as a tar archive. It is made once from the
 * package sources that this machine has and kept.
 */
export function debianRoot(packages: readonly string[]): DebianRoot {
  const suite = codename();
  // The other package that makes one /usr of two brings all of Perl along.
  const include = [...packages, 'usr-is-merged'].sort().join(',');
  const key = createHash('sha256')
    .update(`${RECIPE} ${process.arch} ${suite} ${include}`)
    .digest('hex')
    .slice(0, 16);
  const tar = join(cacheDirectory(), `debian-${suite}-${key}.tar`);
  if (!existsSync(tar)) {
    mkdirSync(cacheDirectory(), { recursive: true });
    const partial = `${tar}.${process.pid}.partial.tar`;
    try {
      execFileSync(
        'mmdebstrap',
        [
          '--quiet',
          '--variant=minbase',
          '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
          `--include=${include}`,
          ...aptOptions().map((option) => `--aptopt=${option}`),
          '--dpkgopt=force-unsafe-io',
          ...NOT_NEEDED.map((place) => `--dpkgopt=path-exclude=${place}/*`),
          suite,
          partial,
          ...sources(),
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      renameSync(partial, tar);
    } finally {
      rmSync(partial, { force: true });
    }
  }
  return { tar, suite };
}

/** Where what comes from Debian is kept: SEALBORN_BOOT_CACHE, or else the user's cache directory. */
export function cacheDirectory(): string {
  const ofUser = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return process.env['SEALBORN_BOOT_CACHE'] ?? join(ofUser, 'sealborn');
}

function codename(): string {
  return /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'bookworm';
}

/** Where apt gets Debian from here; without "apt-get update" it does not know, and mmdebstrap's mirror is taken. */
function sources(): string[] {
  const format = 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)';
  const said = execFileSync(
    'apt-get',
    ['indextargets', '--format', format, 'Created-By: Packages', 'Origin: Debian'],
    { encoding: 'utf8' },
  );
  return [...new Set(said.split('\n').filter((line) => line !== ''))].sort();
}

/** How apt reaches its sources here: proxies, and whether the dates of a snapshot count. */
function aptOptions(): string[] {
  const said = execFileSync('apt-config', ['dump', 'Acquire'], { encoding: 'utf8' });
  return said
    .split('\n')
    .filter((line) => /^Acquire::(?:Check-|https?::Proxy|Retries)[^ ]* ".+";$/.test(line));
}

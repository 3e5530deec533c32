import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { MachineImage } from './machine-image.ts';

/** A disk with an EFI system partition: systemd-boot, and one entry that it starts. */
export type Esp = {
  file: string;
  /** The file names of the entries, with what systemd made of their counters. */
  entries: () => string[];
  /** Writes an entry's text, under a name that is there already or a new one. */
  write: (entry: string, words: readonly string[]) => void;
};

const ENTRIES = '::/loader/entries';
const START = 1024 * 1024;
const SIZE_MB = 96;

/** The file system is made inside of the image file: nothing is mounted here. */
export function makeEsp(image: MachineImage, place: string): Esp {
  const file = join(place, 'esp.img');
  execFileSync('truncate', ['--size', `${SIZE_MB + 2}M`, file]);
  const input = `label: gpt\nstart=2048, size=${SIZE_MB}MiB, type=uefi, name=esp\n`;
  execFileSync('sfdisk', ['--quiet', file], { input });
  execFileSync('mkfs.vfat', ['-F32', '--offset=2048', '-nESP', file, `${SIZE_MB * 1024}`], {
    stdio: 'ignore',
  });
  const mtools = (command: string, ...args: string[]): string =>
    execFileSync(command, ['-i', `${file}@@${START}`, ...args], { encoding: 'utf8' });
  mtools('mmd', '::/EFI', '::/EFI/BOOT', '::/loader', ENTRIES);
  const loader = join(image.root, 'usr/lib/systemd/boot/efi/systemd-bootx64.efi');
  mtools('mcopy', loader, '::/EFI/BOOT/BOOTX64.EFI');
  mtools('mcopy', image.kernel, '::/linux');
  mtools('mcopy', image.initrd, '::/initrd');
  return {
    file,
    entries: () =>
      mtools('mdir', '-b', ENTRIES)
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.slice(line.lastIndexOf('/') + 1)),
    write: (entry, words) => {
      const text = join(place, 'entry.conf');
      writeFileSync(text, `title Sealed\nlinux /linux\ninitrd /initrd\noptions ${words.join(' ')}\n`);
      mtools('mcopy', '-o', text, `${ENTRIES}/${entry}`);
    },
  };
}

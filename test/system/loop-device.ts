import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { lackingProgram } from '../support/needs.ts';
import { NO_ROOT, temporaryDirectory } from './sealed-image.ts';

/** What is lacking where this machine does not let us have a block device of our own. */
export const NO_LOOP_DEVICES: string | undefined =
  NO_ROOT ??
  lackingProgram('mkfs.ext4', 'e2fsprogs') ??
  lackingProgram('debugfs', 'e2fsprogs') ??
  lackingDevice();

function lackingDevice(): string | undefined {
  return spawnSync('losetup', ['--find']).status === 0 ? undefined : 'a free loop device';
}

export type LoopMount = {
  /** Where the file system is mounted. */
  root: string;
  /** Writes bytes at the start of a file's content on the block device, below the mounted file system. */
  writeBelow: (path: string, bytes: string) => void;
  /** Unmounts it and mounts it again: nothing of it stays in memory. */
  remount: () => void;
  /** Writes a field of a file's inode (set_inode_field of debugfs(8)) and nothing else, and mounts again. */
  setInodeBelow: (path: string, field: string, value: string) => void;
};

/** Makes an ext4 file system in a sparse file in `directory`, and mounts it there for the life of a test. */
export function mountExt4(
  directory: string,
  megabytes: number,
  features: string,
): { root: string; device: string } {
  const [image, root] = [join(directory, 'image'), join(directory, 'root')];
  writeFileSync(image, '');
  truncateSync(image, megabytes * 2 ** 20);
  mkdirSync(root);
  execFileSync('mkfs.ext4', ['-q', '-b', '4096', '-O', features, image]);
  const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
  onTestFinished(() => void execFileSync('losetup', ['--detach', device]));
  execFileSync('mount', [device, root]);
  onTestFinished(() => void execFileSync('umount', [root]));
  return { root, device };
}

/** An ext4 file system on a loop device, mounted, for the life of a test; with features of mkfs.ext4(8). */
export function mountLoop(...features: string[]): LoopMount {
  const directory = temporaryDirectory();
  const { root, device } = mountExt4(directory, 32, ['^inline_data', ...features].join());
  const remount = (meanwhile: () => void = () => undefined): void => {
    execFileSync('umount', [root]);
    meanwhile();
    execFileSync('blockdev', ['--flushbufs', device]);
    execFileSync('mount', [device, root]);
  };
  return {
    root,
    remount: () => remount(),
    setInodeBelow: (path, field, value) =>
      remount(() => {
        const request = `set_inode_field /${path} ${field} ${value}`;
        execFileSync('debugfs', ['-w', '-R', request, device], { stdio: 'ignore' });
      }),
    writeBelow: (path, bytes) => {
      execFileSync('sync', ['--file-system', root]);
      const said = execFileSync('debugfs', ['-R', `blocks /${path}`, device], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const block = Number(said.trim().split(/\s+/)[0]);
      if (!(block > 0)) throw new Error(`no block of ${path}: ${said}`);
      const to = [`of=${device}`, 'bs=1', `seek=${block * 4096}`, 'conv=notrunc,fsync', 'status=none'];
      execFileSync('dd', to, { input: bytes });
    },
  };
}

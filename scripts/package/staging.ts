import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

/** A tree that becomes a package: files with the modes and the time that they will have. */
export type Staging = {
  root: string;
  write: (path: string, content: string | Uint8Array, mode?: number) => void;
  /** Compressed, as Debian policy 12.1 has it for manual pages and changelogs. */
  writeGzip: (path: string, content: string) => void;
  copy: (path: string, from: string, mode?: number) => void;
  link: (path: string, target: string) => void;
  /** Gives everything one time, so that the same content gives the same package. */
  settle: (epoch: number) => void;
  /** The digests of all files, as md5sums(5) of dpkg wants them. */
  md5sums: () => string;
  kilobytes: () => number;
};

export function createStaging(root: string): Staging {
  const place = (path: string): string => {
    const target = join(root, path);
    makeDirectories(root, dirname(target));
    return target;
  };
  const write = (path: string, content: string | Uint8Array, mode = 0o644): void => {
    const target = place(path);
    writeFileSync(target, content);
    chmodSync(target, mode);
  };
  const files = (): string[] =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.startsWith(join(root, 'DEBIAN')))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)))
      .toSorted();
  return {
    root,
    write,
    writeGzip: (path, content) => write(path, gzipSync(content, { level: 9 })),
    copy: (path, from, mode = 0o644) => {
      const target = place(path);
      copyFileSync(from, target);
      chmodSync(target, mode);
    },
    link: (path, target) => symlinkSync(target, place(path)),
    settle: (epoch) => {
      for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
        lutimesSync(join(root, entry), epoch, epoch);
      }
      lutimesSync(root, epoch, epoch);
    },
    md5sums: () =>
      files()
        .map(
          (path) =>
            `${createHash('md5')
              .update(readFileSync(join(root, path)))
              .digest('hex')}  ${path}\n`,
        )
        .join(''),
    kilobytes: () =>
      Math.ceil(files().reduce((sum, path) => sum + statSync(join(root, path)).size, 0) / 1024),
  };
}

/** Directories of a package are 0755, whatever the umask. */
function makeDirectories(root: string, directory: string): void {
  if (directory.length < root.length) return;
  makeDirectories(root, dirname(directory));
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o755);
}

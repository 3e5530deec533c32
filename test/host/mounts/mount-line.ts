import { type Mount, parseMountInfo } from '../../../src/host/mounts/mount-info.ts';

/** Bytes as proc_pid_mountinfo(5) escapes them. */
export function escape(text: string): string {
  return text.replaceAll(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

export type MountWords = {
  id: number;
  parent?: number;
  path: string;
  device?: string;
  root?: string;
  options?: string;
  type?: string;
  superOptions?: string;
};

/** One line of a mount table. */
export function mountLine(words: MountWords): string {
  const { id, parent = 1, path, device = '8:1', root = '/', options = 'rw', type = 'ext4' } = words;
  const { superOptions = 'rw' } = words;
  return `${id} ${parent} ${device} ${escape(root)} ${escape(path)} ${options} shared:1 - ${type} /dev/x ${superOptions}\n`;
}

/** A table of an ext4 root (id 1) and what is said. */
export function mountTable(...mounts: MountWords[]): string {
  return [{ id: 1, parent: 0, path: '/' }, ...mounts].map((mount) => mountLine(mount)).join('');
}

export function parsed(...mounts: MountWords[]): Mount[] {
  return parseMountInfo(Buffer.from(mountTable(...mounts), 'latin1'));
}

import { type Entry } from './entry.ts';
import { ManifestError } from './manifest-error.ts';
import { encodeVis } from './vis.ts';

/**
 * First lines of every manifest. The first is what readers of mtree(5) know the format by; the second is our
 * version of what may follow, a comment to everyone else.
 */
export const MANIFEST_HEADER = '#mtree v2.0\n# sealborn-manifest 1\n';

/**
 * Writes a manifest: mtree(5), full paths, one line an entry, keywords in a fixed order, in the dialect that
 * libarchive and NetBSD's mtree read. Entries may come in any order and are written each directory before what
 * it holds, siblings by the bytes of their names: the same entries always give the same bytes.
 * @throws ManifestError `entry-invalid` where an entry lacks what its type needs
 */
export function formatManifest(entries: Iterable<Entry>): Buffer {
  const keyed = Array.from(entries, (entry) => ({ key: entry.path.replaceAll('/', '\0'), entry }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const chunks: Buffer[] = [Buffer.from(MANIFEST_HEADER, 'latin1')];
  let lines: string[] = [];
  for (const { entry } of keyed) {
    lines.push(formatLine(entry));
    if (lines.length === 4096) {
      chunks.push(Buffer.from(lines.join(''), 'latin1'));
      lines = [];
    }
  }
  chunks.push(Buffer.from(lines.join(''), 'latin1'));
  return Buffer.concat(chunks);
}

function formatLine(entry: Entry): string {
  const path = entry.path === '' ? '.' : `./${encodeVis(entry.path)}`;
  const mode = entry.mode.toString(8).padStart(4, '0');
  let line = `${path} type=${entry.type} mode=${mode} uid=${entry.uid} gid=${entry.gid}`;
  if (entry.type !== 'dir') line += ` nlink=${need(entry, entry.nlink, 'nlink')}`;
  switch (entry.type) {
    case 'file':
      line += ` size=${need(entry, entry.size, 'size')} sha256digest=${need(entry, entry.sha256, 'sha256')}`;
      if (entry.fsVerity !== undefined) line += ` tags=fsverity:sha256:${entry.fsVerity}`;
      break;
    case 'link':
      line += ` link=${encodeVis(need(entry, entry.link, 'link'))}`;
      break;
    case 'char':
    case 'block': {
      const { major, minor } = need(entry, entry.rdev, 'rdev');
      line += ` device=native,${major},${minor}`;
      break;
    }
    case 'dir':
    case 'fifo':
    case 'socket':
      break;
  }
  for (const [name, value] of [...(entry.xattrs ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
    line += ` xattr.${encodeVis(name)}=${value.toString('base64')}`;
  }
  return `${line}\n`;
}

function need<T>(entry: Entry, value: T | undefined, what: string): T {
  if (value === undefined) {
    throw new ManifestError(
      'entry-invalid',
      `the ${entry.type} at "${encodeVis(entry.path)}" has no ${what}`,
    );
  }
  return value;
}

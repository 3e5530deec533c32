import type { BytePath } from '../../base/byte-path.ts';
import { HostError } from '../host-error.ts';

/** One line of a mount table. Paths are raw bytes, as seen from the root of the process whose table it is. */
export type Mount = {
  id: number;
  /** The mount that this one lies on; of the first mount, one that is not in the table, or itself. */
  parent: number;
  /** The file system's device, as `st_dev` shows it: `major:minor`. */
  device: string;
  /** What of the file system is mounted: the path of a directory or file in it. */
  root: BytePath;
  /** Where; without its leading slash, so that "/" is the empty path. */
  path: BytePath;
  /** Options of this mount, then of the file system: `rw,nosuid`. */
  options: readonly string[];
  superOptions: readonly string[];
  type: string;
  source: string;
};

/** The kernel lets a namespace hold 100,000 mounts (fs.mount-max); more lines are not read. */
const MAX_MOUNTS = 200_000;

/** Fields before the optional ones; the least there can be. */
const FIXED = 6;

/**
 * Reads a mount table as the kernel writes it (proc_pid_mountinfo(5)): fields with one space between them, an
 * open number of optional ones up to a lone hyphen, blanks and backslashes inside a field as octal escapes.
 * @throws HostError `answer-malformed` for a line of another form; then nothing is known of the mounts
 */
export function parseMountInfo(bytes: Uint8Array): Mount[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (text === '') return [];
  if (!text.endsWith('\n')) throw malformed(text.slice(text.lastIndexOf('\n') + 1), 'it does not end');
  const lines = text.slice(0, -1).split('\n');
  if (lines.length > MAX_MOUNTS) throw malformed('', `there are more than ${MAX_MOUNTS} lines`);
  const ids = new Set<number>();
  return lines.map((line) => {
    const mount = parseLine(line);
    if (ids.has(mount.id)) throw malformed(line, 'its id stands there twice');
    ids.add(mount.id);
    return mount;
  });
}

function parseLine(line: string): Mount {
  const fields = line.split(' ');
  const hyphen = fields.indexOf('-', FIXED);
  // After the hyphen: type, source (which may be empty), options of the file system.
  if (hyphen < 0 || fields.length < hyphen + 4) throw malformed(line, 'it has too few fields');
  const [id = '', parent = '', device = '', root = '', path = '', options = ''] = fields;
  const [type = '', source = ''] = fields.slice(hyphen + 1);
  if (!/^\d{1,10}$/.test(id) || !/^\d{1,10}$/.test(parent)) throw malformed(line, 'its ids are no numbers');
  if (!/^\d{1,10}:\d{1,10}$/.test(device)) throw malformed(line, 'its device is no pair of numbers');
  if (!path.startsWith('/')) throw malformed(line, 'its path is not absolute');
  return {
    id: Number(id),
    parent: Number(parent),
    device,
    root: unescape(root) as BytePath,
    path: unescape(path).slice(1) as BytePath,
    options: options.split(','),
    superOptions: fields
      .slice(hyphen + 3)
      .join(' ')
      .split(','),
    type: unescape(type),
    source: unescape(source),
  };
}

/** `\040` and its like (seq_file's mangle: blank, tab, newline, backslash, number sign). */
function unescape(field: string): string {
  return field.replaceAll(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function malformed(line: string, why: string): HostError {
  const shown = JSON.stringify(line.slice(0, 200));
  return new HostError('answer-malformed', `a line of the mount table can't be read: ${why}: ${shown}`);
}

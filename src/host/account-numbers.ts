import type { AccountNumbers } from '../access/peer.ts';
import { readFileBounded } from './files.ts';
import { HostError } from './host-error.ts';

/** Bytes of a user or group file that are read at most. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads the numbers of users and groups from passwd(5) and group(5). Accounts that only a name service knows are
 * not found: the agent loads no such library.
 */
export async function readAccountNumbers(directory = '/etc'): Promise<AccountNumbers> {
  const users = await readNumbers(`${directory}/passwd`);
  const groups = await readNumbers(`${directory}/group`);
  return { user: (name) => users.get(name), group: (name) => groups.get(name) };
}

/** Names and numbers of one such file, whose third field is the number; none where there is no file. */
export async function readNumbers(file: string): Promise<Map<string, number>> {
  let text: string;
  try {
    text = (await readFileBounded(file, MAX_FILE_BYTES, { follow: true })).toString('latin1');
  } catch (thrown) {
    if (thrown instanceof HostError && thrown.code === 'not-found') return new Map();
    throw thrown;
  }
  const numbers = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name = '', , number = ''] = line.split(':');
    // Of a name that stands twice, the first line counts, as for getpwnam(3).
    if (/^[0-9]{1,10}$/.test(number) && !numbers.has(name)) numbers.set(name, Number(number));
  }
  return numbers;
}

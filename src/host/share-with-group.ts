import { lchown } from 'node:fs/promises';

import { readFileBounded } from './files.ts';
import { HostError, hostErrorOf } from './host-error.ts';

/** Bytes of a group file that are read at most. */
const MAX_GROUP_FILE_BYTES = 1024 * 1024;
/** Leaves the owner as it is (chown(2)). */
const SAME_OWNER = -1;

/**
 * Gives a socket or file to a group of this machine (group(5)); its mode says what the group may do. Where
 * there is no group of that name, nothing is done. Groups that only a name service knows are not found: the
 * agent loads no such library.
 * @returns whether there is such a group
 * @throws HostError `permission-denied` where this process is not in it, nor root
 */
export async function shareWithGroup(path: string, group: string, file = '/etc/group'): Promise<boolean> {
  const id = await findGroupId(group, file);
  if (id === undefined) return false;
  try {
    await lchown(path, SAME_OWNER, id);
    return true;
  } catch (cause) {
    throw hostErrorOf(`giving "${path}" to the group "${group}"`, cause);
  }
}

async function findGroupId(name: string, file: string): Promise<number | undefined> {
  let text: string;
  try {
    text = (await readFileBounded(file, MAX_GROUP_FILE_BYTES, { follow: true })).toString('latin1');
  } catch (thrown) {
    if (thrown instanceof HostError && thrown.code === 'not-found') return undefined;
    throw thrown;
  }
  const fields = text
    .split('\n')
    .map((line) => line.split(':'))
    .find(([group]) => group === name);
  return fields !== undefined && /^[0-9]{1,10}$/.test(fields[2] ?? '') ? Number(fields[2]) : undefined;
}

import { lchown } from 'node:fs/promises';

import { readNumbers } from './account-numbers.ts';
import { hostErrorOf } from './host-error.ts';

/** Leaves the owner as it is (chown(2)). */
const SAME_OWNER = -1;

/**
 * Gives a socket or file to a group of this machine (group(5)); its mode says what the group may do. Where
 * there is no group of that name, nothing is done.
 * @returns whether there is such a group
 * @throws HostError `permission-denied` where this process is not in it, nor root
 */
export async function shareWithGroup(path: string, group: string, file = '/etc/group'): Promise<boolean> {
  const id = (await readNumbers(file)).get(group);
  if (id === undefined) return false;
  try {
    await lchown(path, SAME_OWNER, id);
    return true;
  } catch (cause) {
    throw hostErrorOf(`giving "${path}" to the group "${group}"`, cause);
  }
}

import { readFile } from 'node:fs/promises';

import { HostError, hostErrorOf } from '../host-error.ts';

/**
 * The kernel's random id of this boot (proc_sys_kernel(5), `random/boot_id`): the same in every container on
 * a machine, another after every boot.
 * @throws HostError
 */
export async function readBootId(path = '/proc/sys/kernel/random/boot_id'): Promise<string> {
  let id: string;
  try {
    id = (await readFile(path, 'latin1')).trim();
  } catch (cause) {
    throw hostErrorOf(`reading the boot id from ${path}`, cause);
  }
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
    throw new HostError('answer-malformed', `${path} does not hold a boot id`);
  }
  return id;
}

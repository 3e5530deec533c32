import type { Socket } from 'node:net';

import { readAccountNumbers } from '../host/account-numbers.ts';
import { peerOf } from '../host/kernel/peer-credentials.ts';

/** The user of the measuring half on an instance (packaging/sysusers.conf). */
const MEASURER = 'sealborn-measure';

/**
 * Who may be at the other end of verdict.sock: the measuring half's user, root, or the serving half's own user,
 * as `sealborn run` has it. The directory's mode lets nobody else put a socket there; this holds if it ever does.
 */
export async function createMeasurerCheck(directory = '/etc'): Promise<(socket: Socket) => boolean> {
  const measurer = (await readAccountNumbers(directory)).user(MEASURER);
  const allowed = new Set([0, process.getuid?.(), measurer]);
  return (socket) => {
    const peer = peerOf(socket);
    return peer !== undefined && allowed.has(peer.uid);
  };
}

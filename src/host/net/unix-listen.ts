import { chmod, lstat, rm } from 'node:fs/promises';
import { type Server, connect } from 'node:net';

import { HostError, errnoOf, hostErrorOf } from '../host-error.ts';

/** A path in `sockaddr_un` has 108 bytes with its final NUL (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Where a server listens. */
export type UnixPlace = {
  path: string;
  mode: number;
  /** The socket, where systemd made it and listens already: then path and mode are its unit's. */
  fd?: number | undefined;
};

/**
 * Makes `server` listen on a Unix socket with exactly the given mode. A socket that a dead process left at the
 * path is replaced; one that answers, or anything else at the path, is not.
 * @throws HostError `address-in-use`, `address-invalid`, `already-exists`, `permission-denied`, …
 */
export async function listenUnix(server: Server, { path, mode, fd }: UnixPlace): Promise<void> {
  const doing = `listening on the socket "${path}"`;
  if (fd !== undefined) {
    try {
      await listening(server, () => server.listen({ fd }));
      return;
    } catch (cause) {
      throw hostErrorOf(`${doing}, which systemd handed over`, cause);
    }
  }
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new HostError(
      'address-invalid',
      `${doing}: the path is longer than ${MAX_SOCKET_PATH_BYTES} bytes`,
      {
        hint: 'Choose a run directory with a shorter path.',
      },
    );
  }
  try {
    await removeStale(path, doing);
    await listening(server, () => {
      // The socket is made with the umask; nobody may connect before its mode is set. Node binds within listen().
      const umask = process.umask(0o177);
      try {
        server.listen(path);
      } finally {
        process.umask(umask);
      }
    });
    await chmod(path, mode);
  } catch (cause) {
    throw hostErrorOf(doing, cause);
  }
}

/** Makes `server` listen on TCP. @throws HostError `address-in-use`, `permission-denied`, … */
export async function listenTcp(server: Server, address: { host: string; port: number }): Promise<void> {
  try {
    await listening(server, () => server.listen({ host: address.host, port: address.port }));
  } catch (cause) {
    throw hostErrorOf(`listening on ${address.host}, port ${address.port}`, cause);
  }
}

async function listening(server: Server, listen: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('listening', resolve);
  server.once('error', reject);
  try {
    listen();
    await promise;
  } finally {
    server.off('listening', resolve);
    server.off('error', reject);
  }
}

async function removeStale(path: string, doing: string): Promise<void> {
  const stat = await lstat(path).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw cause;
  });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new HostError('already-exists', `${doing}: something that is not a socket stands there`);
  }
  if (await answers(path)) {
    throw new HostError('address-in-use', `${doing}: another process answers there`, {
      hint: 'Is another sealborn running with the same run directory?',
    });
  }
  await rm(path, { force: true });
}

async function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once('connect', () => resolve(true));
  // Refused: nobody listens. Anything else (no permission, say) is not known to be dead.
  socket.once('error', (cause) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(errnoOf(cause))));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

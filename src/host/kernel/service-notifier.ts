import { messageOf } from '../../base/errors.ts';
import type { Log } from '../log/log.ts';

/**
 * Tells systemd how the service stands (sd_notify(3)): `READY=1`, `STATUS=…`, `EXTEND_TIMEOUT_USEC=…`, joined
 * by newlines. Does nothing where systemd did not ask for it.
 */
export type ServiceNotifier = (state: string) => void;

/** linux/socket.h and linux/net.h, the same on every architecture that Node runs on under Linux but MIPS. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2_000_000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/**
 * Makes the notifier from `NOTIFY_SOCKET`. Node has no Unix datagrams, so the two system calls go through
 * koffi; where that can't be loaded, the log says so and the service runs on without.
 */
export async function createServiceNotifier(
  environment: NodeJS.ProcessEnv,
  log: Log,
): Promise<ServiceNotifier> {
  const { NOTIFY_SOCKET: path } = environment;
  if (path === undefined || path === '') return () => undefined;
  const address = socketAddress(path);
  if (address === undefined) {
    log.warn(
      { code: 'notify-unavailable', path },
      'NOTIFY_SOCKET names no Unix socket: systemd is told nothing',
    );
    return () => undefined;
  }
  try {
    const { default: koffi } = await import('koffi');
    const libc = koffi.load(null); // the C library that Node itself runs on
    const socket = libc.func('int socket(int, int, int)');
    const sendto = libc.func('intptr_t sendto(int, const void *, size_t, int, const void *, uint32_t)');
    const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
    if (fd < 0) throw new Error('socket(AF_UNIX, SOCK_DGRAM) failed');
    return (state) => {
      const bytes = Buffer.from(state);
      // A manager that does not read must not stop the agent: what can't be sent at once is not sent.
      sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
    };
  } catch (cause) {
    log.warn({ code: 'notify-unavailable' }, `systemd is told nothing: ${messageOf(cause)}`);
    return () => undefined;
  }
}

/** `struct sockaddr_un` of a path, or of an abstract name that is written with a leading `@`. */
function socketAddress(path: string): Buffer | undefined {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  if (!/^[@/]/.test(path) || name.length > 107) return undefined;
  const family = Buffer.alloc(2);
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] === 1) family.writeUInt16LE(AF_UNIX);
  else family.writeUInt16BE(AF_UNIX);
  return path.startsWith('@')
    ? Buffer.concat([family, name])
    : Buffer.concat([family, name, Buffer.alloc(1)]);
}

import { HostError } from '../host-error.ts';

/** The first descriptor that systemd hands over (sd_listen_fds(3)). */
const FIRST = 3;
/** More than these no unit of ours asks for. */
const MAX = 16;

/**
 * The sockets that systemd listens on for this process (sd_listen_fds_with_names(3)), by the name that their unit
 * gives them (`FileDescriptorName=`); none where this process was not started by a socket unit.
 * @throws HostError `answer-malformed` where what systemd says makes no sense, or a name stands twice
 */
export function activatedSockets(
  { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES }: NodeJS.ProcessEnv,
  pid: number = process.pid,
): ReadonlyMap<string, number> {
  // The variables are inherited; they are meant for the process that they name.
  if (LISTEN_FDS === undefined || LISTEN_PID !== String(pid)) return new Map();
  const count = Number(LISTEN_FDS);
  const names = LISTEN_FDNAMES?.split(':') ?? [];
  const sockets = new Map(names.map((name, index) => [name, FIRST + index]));
  if (!/^\d+$/.test(LISTEN_FDS) || count > MAX || names.length !== count || sockets.size !== count) {
    throw new HostError(
      'answer-malformed',
      `systemd hands over LISTEN_FDS=${LISTEN_FDS} named "${LISTEN_FDNAMES ?? ''}"`,
      { hint: 'Each socket of the unit needs a FileDescriptorName= of its own.' },
    );
  }
  return sockets;
}

import type { Socket } from 'node:net';

import type { Peer } from '../../access/peer.ts';
import { Pinned, getsockopt } from './linux.ts';

// asm-generic/socket.h: the same on every architecture that Node.js is built for.
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
/** struct ucred: pid, uid, gid, 32 bits each (unix(7)). */
const UCRED_BYTES = 12;
/** A process is in 65,536 groups at most (NGROUPS_MAX); of one that is in more than fits here, nothing is said. */
const MAX_GROUPS = 1024;

const known = new WeakMap<Socket, Peer>();
let memory: { ucred: Pinned; groups: Pinned; length: Pinned } | undefined;

/**
 * Who is at the other end of a Unix socket, as the kernel noted when it connected (unix(7), SO_PEERCRED and
 * SO_PEERGROUPS); undefined for TCP, and where the kernel does not say. The process may have handed the
 * connection to another since: what counts is who was let in by the socket's mode.
 */
export function peerOf(socket: Socket): Peer | undefined {
  const found = known.get(socket);
  if (found !== undefined) return found;
  const peer = ask(socket);
  if (peer !== undefined) known.set(socket, peer);
  return peer;
}

const names = new WeakMap<Socket, string>();

/**
 * Who is at the other end as a log names them: `unix:uid=33,gid=33,pid=812` of a Unix socket, where the process is the
 * one that connected; address and port of TCP; `unknown` where the kernel does not say.
 */
export function clientNameOf(socket: Socket): string {
  const known = names.get(socket);
  if (known !== undefined) return known;
  const { remoteAddress, remotePort } = socket;
  const peer = remoteAddress === undefined ? peerOf(socket) : undefined;
  let name = 'unknown';
  if (peer !== undefined) name = `unix:uid=${peer.uid},gid=${peer.gid},pid=${peer.pid}`;
  else if (remoteAddress !== undefined) {
    name = `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`;
  }
  names.set(socket, name);
  return name;
}

function ask(socket: Socket): Peer | undefined {
  // Node has no other way to the descriptor of a connection.
  const fd = (socket as Socket & { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0 || socket.remoteAddress !== undefined) return undefined;
  memory ??= { ucred: new Pinned(UCRED_BYTES), groups: new Pinned(MAX_GROUPS * 4), length: new Pinned(4) };
  const { ucred, groups } = memory;
  if (readOption(fd, SO_PEERCRED, ucred) !== UCRED_BYTES) return undefined;
  const groupBytes = readOption(fd, SO_PEERGROUPS, groups);
  if (groupBytes === undefined) return undefined;
  return {
    pid: ucred.bytes.readInt32LE(0),
    uid: ucred.bytes.readUInt32LE(4),
    gid: ucred.bytes.readUInt32LE(8),
    groups: Array.from({ length: groupBytes / 4 }, (_, index) => groups.bytes.readUInt32LE(index * 4)),
  };
}

/** The bytes that the option took, or undefined where the kernel refused. */
function readOption(fd: number, option: number, into: Pinned): number | undefined {
  if (memory === undefined) return undefined;
  memory.length.bytes.writeUInt32LE(into.bytes.length);
  const failed = getsockopt(fd, SOL_SOCKET, option, into.address, memory.length.address) !== 0;
  return failed ? undefined : memory.length.bytes.readUInt32LE();
}

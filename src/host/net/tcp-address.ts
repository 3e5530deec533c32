import { BlockList, isIP, isIPv4 } from 'node:net';

import { HostError } from '../host-error.ts';

/** Where a TCP server listens. Port 0 takes a free one. */
export type TcpAddress = { host: string; port: number };

/**
 * Reads `127.0.0.1:9180`, `[::]:9180` or `localhost:9180`.
 * @throws HostError `address-invalid`
 */
export function parseTcpAddress(text: string): TcpAddress {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]+)):([0-9]{1,5})$/.exec(text);
  const [, v6, name, digits] = match ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) {
    throw new HostError('address-invalid', `"${text}" is not an address such as 127.0.0.1:9180 or [::]:9180`);
  }
  return { host, port };
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether it is an address of this machine alone (RFC 6890). A name is not: what it stands for can change. */
export function isLoopback({ host }: TcpAddress): boolean {
  return isIP(host) !== 0 && loopback.check(host, isIPv4(host) ? 'ipv4' : 'ipv6');
}

/** The address as it stands in a URL. */
export function formatTcpAddress({ host, port }: TcpAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

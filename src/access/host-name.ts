/** A name of DNS or an IPv4 address, or an IPv6 address in brackets, and a port (RFC 9110 section 7.2, "Host"). */
const AUTHORITY = /^(?:([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)|(\[[0-9A-Fa-f:.]+\]))(?::([0-9]{1,5}))?$/;
/** RFC 1035 section 2.3.4. */
const MAX_NAME = 253;

/**
 * Reads a host as a request names it: letters in lower case, an IPv6 address in its one short form, and the port, which
 * tells no host from another. Undefined where it is not in normal form: a dot at the end, an empty label, a list, a
 * user, a zone, or a character beyond ASCII. Servers take such a host for another one, or for their default.
 */
export function readHost(authority: string): { host: string; port: number | undefined } | undefined {
  const [, name, address, digits] = AUTHORITY.exec(authority) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && port > 65_535) return undefined;
  if (name !== undefined) return name.length > MAX_NAME ? undefined : { host: name.toLowerCase(), port };
  const url = address === undefined ? null : URL.parse(`http://${address}/`);
  return url === null ? undefined : { host: url.hostname, port };
}

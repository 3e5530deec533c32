import { EvaluationError } from './evaluation-error.ts';

/** Cedar's ipaddr: an IPv4 or IPv6 address, or a range of them in CIDR notation. */
export type IpAddress = {
  readonly kind: 'ipaddr';
  readonly version: 4 | 6;
  readonly address: bigint;
  /** Bits of the network: 32 or 128 for one address. */
  readonly prefix: number;
};

/** The longest spelling of an address with its prefix: eight groups of four, seven colons, `/128`. */
const MAX_LENGTH = 43;

/**
 * Reads an address or a range (Cedar reference, "ipaddr"). IPv4 written inside IPv6 is refused, as are leading
 * zeros, zones and ports: two readers must never take one text for two addresses.
 * @throws EvaluationError
 */
export function parseIpAddress(text: string): IpAddress {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const address = text.length > MAX_LENGTH ? undefined : (parseV4(host) ?? parseV6(host));
  if (address === undefined) return fail(text);
  const bits = address.version === 4 ? 32 : 128;
  if (slash < 0) return { kind: 'ipaddr', ...address, prefix: bits };
  const digits = text.slice(slash + 1);
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(digits) || Number(digits) > bits) return fail(text);
  return { kind: 'ipaddr', ...address, prefix: Number(digits) };
}

type Address = { version: 4 | 6; address: bigint };

function parseV4(host: string): Address | undefined {
  const octets = host.split('.');
  if (octets.length !== 4) return undefined;
  let address = 0n;
  for (const octet of octets) {
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(octet) || Number(octet) > 255) return undefined;
    address = address * 256n + BigInt(octet);
  }
  return { version: 4, address };
}

function parseV6(host: string): Address | undefined {
  const halves = host.split('::');
  if (halves.length > 2) return undefined;
  const [left = [], right] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const given = left.length + (right?.length ?? 0);
  // "::" stands for at least one group of zeros.
  if (right === undefined ? given !== 8 : given > 7) return undefined;
  const groups = [...left, ...Array.from({ length: 8 - given }, () => '0'), ...(right ?? [])];
  let address = 0n;
  for (const group of groups) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
    address = address * 65_536n + BigInt(`0x${group}`);
  }
  return { version: 6, address };
}

/** A text that `parseIpAddress` reads as the same value. */
export function formatIpAddress({ version, address, prefix }: IpAddress): string {
  const [groups, bits, base, separator] = version === 4 ? [4, 8n, 10, '.'] : [8, 16n, 16, ':'];
  const parts: string[] = [];
  for (let at = 0, rest = address; at < groups; at += 1, rest >>= bits) {
    parts.unshift((rest & ((1n << bits) - 1n)).toString(base));
  }
  return `${parts.join(separator)}/${prefix}`;
}

/** Whether every address of `inner` is one of `outer`; never across versions. */
export function isInRange(inner: IpAddress, outer: IpAddress): boolean {
  if (inner.version !== outer.version || inner.prefix < outer.prefix) return false;
  const host = BigInt((inner.version === 4 ? 32 : 128) - outer.prefix);
  return inner.address >> host === outer.address >> host;
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback({ version, address, prefix }: IpAddress): boolean {
  return version === 4 ? address >> 24n === 127n && prefix >= 8 : address === 1n && prefix === 128;
}

/** 224.0.0.0/4 and ff00::/8. */
export function isMulticast({ version, address, prefix }: IpAddress): boolean {
  return version === 4 ? address >> 28n === 14n && prefix >= 4 : address >> 120n === 255n && prefix >= 8;
}

function fail(text: string): never {
  throw new EvaluationError(
    `${JSON.stringify(text.slice(0, 64))} is not an IP address or range such as "10.0.0.0/8"`,
  );
}

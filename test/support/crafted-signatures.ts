import { createHash } from 'node:crypto';

import { Point } from '@noble/ed25519';

/** The order L of the group that Ed25519 signs in (RFC 8032, 5.1). */
const ORDER = Point.CURVE().n;

/** A point of order 8 (RFC 8032 names none; this is the one of the "Taming the many EdDSAs" paper, table 1). */
export const ORDER_8: Point = Point.fromHex(
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
);

/** A point that is neither in the group nor of small order. */
export const MIXED_ORDER: Point = Point.BASE.add(ORDER_8);

/** A key pair whose secret scalar is known, as no key file shows it. */
const SECRET = 0x1234567890abcdefn;
export const KNOWN_KEY: Uint8Array = Point.BASE.multiply(SECRET).toBytes();

/** A public key of 32 bytes as a key file, whatever point it is. */
export function pemOfRaw(raw: Uint8Array): string {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
  return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
}

/** A signature by `KNOWN_KEY` whose R is moved: only a verifier that multiplies by the cofactor accepts it. */
export function signWithOffset(message: Uint8Array, offset: Point): Buffer {
  const nonce = 0xfedcba987654321n;
  const r = Buffer.from(Point.BASE.multiply(nonce).add(offset).toBytes());
  return Buffer.concat([r, littleEndian((nonce + challenge(r, message) * SECRET) % ORDER)]);
}

/** A signature by `KNOWN_KEY` whose R is the identity, written as y = p + 1; its S fits. */
export function signNonCanonical(message: Uint8Array): Buffer {
  const r = Buffer.from(`ee${'ff'.repeat(30)}7f`, 'hex');
  return Buffer.concat([r, littleEndian((challenge(r, message) * SECRET) % ORDER)]);
}

/** The same signature with S + L in the place of S. */
export function addOrder(signature: Uint8Array): Buffer {
  const s = scalarOf(signature.subarray(32)) + ORDER;
  return Buffer.concat([signature.subarray(0, 32), littleEndian(s)]);
}

function challenge(r: Uint8Array, message: Uint8Array): bigint {
  return scalarOf(createHash('sha512').update(r).update(KNOWN_KEY).update(message).digest());
}

function scalarOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

function littleEndian(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
}

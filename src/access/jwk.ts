import { createPublicKey } from 'node:crypto';

import { publicKeyOfRaw } from '../base/ed25519.ts';
import { messageOf } from '../base/errors.ts';
import { type Reader, isObject, oneOf, optional, record, text } from '../base/shape.ts';

/** A public key that tokens are verified with (RFC 7517, RFC 7518 section 6, RFC 8037). */
export type PublicJwk = { kid?: string; alg?: string } & (
  | { kty: 'OKP'; crv: 'Ed25519'; x: string }
  | { kty: 'EC'; crv: 'P-256' | 'P-384' | 'P-521'; x: string; y: string }
  | { kty: 'RSA'; n: string; e: string }
);

const base64url = (min: number, max: number): Reader<string> =>
  text({ min, max, pattern: /^[A-Za-z0-9_-]+$/, is: 'base64url' });
const names = { kid: optional(text({ max: 256 })), alg: optional(text({ max: 16 })) };
// Providers publish more (certificates, key_ops, names of their own): RFC 7517 section 4 says to ignore it.
const open = { open: true };
const shapes = {
  OKP: record({ ...names, kty: oneOf('OKP'), crv: oneOf('Ed25519'), x: base64url(43, 43) }, open),
  EC: record(
    {
      ...names,
      kty: oneOf('EC'),
      crv: oneOf('P-256', 'P-384', 'P-521'),
      x: base64url(43, 88),
      y: base64url(43, 88),
    },
    open,
  ),
  // 342 digits are 2048 bits, the least that RFC 7518 section 3.3 takes; 1366 are 8192.
  RSA: record({ ...names, kty: oneOf('RSA'), n: base64url(342, 1366), e: base64url(3, 11) }, open),
};

/** Reads a public key. One that is private or symmetric is refused: it has no place in a release. */
export const publicJwk: Reader<PublicJwk> = (value, path, problems) => {
  const kty = isObject(value) ? value['kty'] : undefined;
  if (isObject(value) && (kty === 'oct' || 'd' in value || 'k' in value)) {
    problems.push({ path, message: 'is a private or shared key; a release holds public keys alone' });
    return undefined as never;
  }
  const shape = kty === 'OKP' || kty === 'EC' || kty === 'RSA' ? shapes[kty] : shapes.OKP;
  const before = problems.length;
  const key = shape(value, path, problems);
  if (problems.length > before) return key;
  try {
    requireSound(key);
  } catch (thrown) {
    problems.push({ path, message: `is no key that can verify anything: ${messageOf(thrown)}` });
  }
  return key;
};

/** A point of small order verifies what nobody signed; one that is not on its curve, nothing, and only on the host. */
function requireSound(key: PublicJwk): void {
  if (key.kty === 'OKP') publicKeyOfRaw(Buffer.from(key.x, 'base64url'), 'Ed25519');
  else createPublicKey({ key, format: 'jwk' });
}

/** Whether the key can have made a signature of this algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1). */
export function isKeyFor(algorithm: string, key: PublicJwk): boolean {
  if (key.alg !== undefined && key.alg !== algorithm) return false;
  if (key.kty === 'RSA') return /^[PR]S/.test(algorithm);
  if (key.kty === 'OKP') return algorithm === 'EdDSA' || algorithm === 'Ed25519';
  return algorithm === { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }[key.crv];
}

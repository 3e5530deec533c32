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
  return shape(value, path, problems);
};

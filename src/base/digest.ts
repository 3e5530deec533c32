import { createHash, hash } from 'node:crypto';

import { BaseError } from './errors.ts';

declare const sha256Brand: unique symbol;

/** A SHA-256 digest as 64 lower-case hexadecimal digits. Made only here. */
export type Sha256 = string & { readonly [sha256Brand]: true };

/** SHA-256 (FIPS 180-4) of `bytes`. */
export function sha256(bytes: Uint8Array | string): Sha256 {
  return hash('sha256', bytes, 'hex') as Sha256;
}

/** SHA-256 of bytes that arrive in pieces: call `update` for each, `digest` once. */
export function sha256Stream(): { update: (bytes: Uint8Array) => void; digest: () => Sha256 } {
  const state = createHash('sha256');
  return {
    update: (bytes) => void state.update(bytes),
    digest: () => state.digest('hex') as Sha256,
  };
}

/** Whether `text` is written exactly as this program writes a SHA-256 digest. */
export function isSha256(text: unknown): text is Sha256 {
  return typeof text === 'string' && /^[0-9a-f]{64}$/.test(text);
}

/**
 * Reads a digest that came from outside.
 * @throws BaseError `digest-invalid`
 */
export function parseSha256(text: unknown, what = 'digest'): Sha256 {
  if (!isSha256(text)) {
    throw new BaseError('digest-invalid', `${what} is not a SHA-256 digest in lower-case hexadecimal`);
  }
  return text;
}

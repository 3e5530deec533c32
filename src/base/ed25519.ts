import {
  type KeyObject,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as nodeSign,
  verify as nodeVerify,
} from 'node:crypto';

import { Point, hashes, verify as nobleVerify } from '@noble/ed25519';

import { type Sha256, sha256 } from './digest.ts';
import { BaseError, messageOf } from './errors.ts';

hashes.sha512 = (message) => new Uint8Array(createHash('sha512').update(message).digest());

declare const publicKeyBrand: unique symbol;

/** An Ed25519 public key whose point was checked. Made only by `loadPublicKey`. */
export type PublicKey = {
  readonly [publicKeyBrand]: true;
  /** The 32 bytes of RFC 8032 section 5.1.5. */
  readonly raw: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo (RFC 8410) in DER: what tells keys apart, and DSSE's keyid. */
  readonly id: Sha256;
  readonly node: KeyObject;
};

/** An Ed25519 private key and its public half. */
export type PrivateKey = { readonly node: KeyObject; readonly publicKey: PublicKey };

/** A PEM of one key is some 120 bytes; a file larger than this is not one. */
export const MAX_PEM_BYTES = 4096;

const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/**
 * Reads an Ed25519 public key: one PEM block `PUBLIC KEY` (SubjectPublicKeyInfo, RFC 8410), nothing else.
 * @throws BaseError `key-invalid` where it is not that; `key-weak` where the point is of small or mixed order
 * or not canonically encoded, so that one signature could fit several messages or keys
 */
export function loadPublicKey(pem: string, what: string): PublicKey {
  if (pem.length > MAX_PEM_BYTES) throw invalid(what, 'it is too large for one key');
  const blocks = pem.match(/-----BEGIN [^-]*-----/g) ?? [];
  if (blocks.length !== 1 || blocks[0] !== '-----BEGIN PUBLIC KEY-----') {
    throw invalid(what, 'it must be one PEM block "PUBLIC KEY"');
  }
  const body = /^\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----\s*$/.exec(
    pem,
  );
  const der = Buffer.from(body?.[1] ?? '', 'base64');
  if (der.length !== SPKI_PREFIX.length + 32 || !der.subarray(0, SPKI_PREFIX.length).equals(SPKI_PREFIX)) {
    throw invalid(what, 'it is not an Ed25519 SubjectPublicKeyInfo (RFC 8410)');
  }
  return publicKeyOfRaw(der.subarray(SPKI_PREFIX.length), what);
}

/**
 * Checks the 32 bytes of a public key and makes it usable.
 * @throws BaseError `key-weak`
 */
export function publicKeyOfRaw(raw: Uint8Array, what: string): PublicKey {
  let point: Point;
  try {
    // Strict decoding (RFC 8032 section 5.1.3): y below p, no negative zero.
    point = Point.fromBytes(Uint8Array.from(raw), false);
  } catch (cause) {
    throw new BaseError('key-weak', `${what}: the point is not canonically encoded or not on the curve`, {
      cause,
      hint: 'Make a new key with "sealborn key new".',
    });
  }
  if (point.isSmallOrder() || !point.isTorsionFree()) {
    throw new BaseError('key-weak', `${what}: the point is of small or mixed order`, {
      hint: 'No honest key generator makes such a key. Make a new one with "sealborn key new" and ask where this one came from.',
    });
  }
  const der = Buffer.concat([SPKI_PREFIX, raw]);
  const node = createPublicKey({ key: der, format: 'der', type: 'spki' });
  return { raw: Uint8Array.from(raw), id: sha256(der), node } as PublicKey;
}

/**
 * Reads an Ed25519 private key: one PEM block `PRIVATE KEY` (PKCS#8, RFC 8410), not encrypted.
 * @throws BaseError `key-invalid`; the message never shows any of the key
 */
export function loadPrivateKey(pem: string, what: string): PrivateKey {
  if (pem.length > MAX_PEM_BYTES) throw invalid(what, 'it is too large for one key');
  let node: KeyObject;
  try {
    node = createPrivateKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw new BaseError('key-invalid', `${what} is not a private key in PEM: ${messageOf(cause)}`, {
      hint: 'It must be an unencrypted PKCS#8 PEM as "sealborn key new" or "openssl genpkey -algorithm ed25519" writes.',
    });
  }
  if (node.asymmetricKeyType !== 'ed25519') {
    throw invalid(what, `it is a key of type ${String(node.asymmetricKeyType)}`);
  }
  const spki = createPublicKey(node).export({ format: 'der', type: 'spki' });
  return { node, publicKey: publicKeyOfRaw(spki.subarray(SPKI_PREFIX.length), what) };
}

/** A new pair: the private key as PKCS#8 PEM, the public key as SPKI PEM. */
export function generateKeyPair(): { privatePem: string; publicPem: string } {
  const pair = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return { privatePem: pair.privateKey, publicPem: pair.publicKey };
}

/** The SPKI PEM of a public key. */
export function publicKeyPem(key: PublicKey): string {
  return key.node.export({ type: 'spki', format: 'pem' });
}

/** Ed25519 (RFC 8032, pure) over `message`: 64 bytes. */
export function sign(message: Uint8Array, key: PrivateKey): Buffer {
  return nodeSign(null, message, key.node);
}

/**
 * Whether `signature` is a strict Ed25519 signature of `message` by `key`.
 *
 * Two implementations must both accept it: OpenSSL's (through node:crypto; cofactorless, refuses S >= L) and
 * @noble/ed25519 with `zip215: false` (refuses non-canonical R). What only one of them accepts is where the
 * known disagreements about Ed25519 live, so it is refused.
 */
export function verify(message: Uint8Array, signature: Uint8Array, key: PublicKey): boolean {
  if (signature.length !== 64) return false;
  if (!nodeVerify(null, message, key.node, signature)) return false;
  try {
    return nobleVerify(Uint8Array.from(signature), Uint8Array.from(message), Uint8Array.from(key.raw), {
      zip215: false,
    });
  } catch {
    return false;
  }
}

function invalid(what: string, why: string): BaseError {
  return new BaseError('key-invalid', `${what} is not a usable Ed25519 key: ${why}`, {
    hint: 'Make one with "sealborn key new".',
  });
}

import { type KeyObject, createHash, createPublicKey } from 'node:crypto';

import { AttestationError } from '../attestation-error.ts';
import { TPM_ALG, type TpmReader, malformed, tpmReader } from './tpm-bytes.ts';

/** The public part of a key that a TPM holds, read from a TPM2B_PUBLIC. */
export type TpmPublic = {
  key: KeyObject;
  type: 'rsa' | 'ecc';
  /** Hash of the whole public area with its algorithm in front: what the TPM itself calls the key by. */
  name: Buffer;
  /** Bits of TPMA_OBJECT. */
  attributes: number;
  /** Bits of the AES key that protects what is stored under this key; undefined for a key that stores nothing. */
  storageKeyBits: number | undefined;
};

/** TPMA_OBJECT (TPM 2.0 Part 2, "TPMA_OBJECT"). */
const FIXED_TPM = 1 << 1;
const FIXED_PARENT = 1 << 4;
const SENSITIVE_DATA_ORIGIN = 1 << 5;
const RESTRICTED = 1 << 16;
const DECRYPT = 1 << 17;
const SIGN = 1 << 18;

/** Never left, never will leave this TPM, and was made by it. */
const OWN = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN;

/**
 * Reads a TPM2B_PUBLIC of an RSA key or an ECC key on NIST P-256 or P-384, named with SHA-256.
 * @throws AttestationError `tpm-malformed`, `tpm-unsupported`
 */
export function parseTpmPublic(bytes: Uint8Array, what: string): TpmPublic {
  const outer = tpmReader(bytes, what);
  const area = outer.sized();
  outer.end();
  const reader = tpmReader(area, what);
  const type = reader.u16();
  const nameAlgorithm = reader.u16();
  if (nameAlgorithm !== TPM_ALG.sha256) throw unsupported(`${what}: it is not named with SHA-256`);
  const attributes = reader.u32();
  reader.sized(); // authPolicy: bound by the name
  const storageKeyBits = readSymmetric(reader, what);
  readScheme(reader);
  const key =
    type === TPM_ALG.rsa ? readRsa(reader) : type === TPM_ALG.ecc ? readEcc(reader, what) : undefined;
  if (key === undefined) throw unsupported(`${what}: it is neither an RSA nor an ECC key`);
  reader.end();
  const name = Buffer.concat([Buffer.from([0, TPM_ALG.sha256]), createHash('sha256').update(area).digest()]);
  return { key, type: type === TPM_ALG.rsa ? 'rsa' : 'ecc', name, attributes, storageKeyBits };
}

/**
 * Requires an attestation key: made by this TPM, never to leave it, and restricted, so that it signs only what
 * the TPM made itself (TPM 2.0 Part 1, "Restricted signing keys"). Any other key could sign a made-up quote.
 * @throws AttestationError `tpm-key-unfit`
 */
export function requireAttestationKey({ attributes }: TpmPublic, what: string): void {
  const wanted = OWN | RESTRICTED | SIGN;
  if ((attributes & wanted) === wanted && (attributes & DECRYPT) === 0) return;
  throw new AttestationError(
    'tpm-key-unfit',
    `${what}: it is not a restricted signing key fixed to its TPM (attributes 0x${attributes.toString(16)})`,
  );
}

/**
 * Requires an endorsement key that a credential can be made for: RSA, a restricted decryption key of this TPM
 * with AES as its inner cipher (TCG EK Credential Profile, template L-1).
 * @throws AttestationError `tpm-key-unfit`, `tpm-unsupported`
 */
export function requireEndorsementKey({ attributes, type, storageKeyBits }: TpmPublic, what: string): void {
  const wanted = OWN | RESTRICTED | DECRYPT;
  if ((attributes & wanted) !== wanted || (attributes & SIGN) !== 0) {
    throw new AttestationError(
      'tpm-key-unfit',
      `${what}: it is not a restricted decryption key fixed to its TPM (attributes 0x${attributes.toString(16)})`,
    );
  }
  if (type !== 'rsa' || storageKeyBits === undefined) {
    throw unsupported(`${what}: credentials are made for RSA endorsement keys with AES alone`);
  }
}

/** TPMT_SYM_DEF_OBJECT: AES in CFB mode, or none. */
function readSymmetric(reader: TpmReader, what: string): number | undefined {
  const algorithm = reader.u16();
  if (algorithm === TPM_ALG.null) return undefined;
  const bits = reader.u16();
  const mode = reader.u16();
  if (algorithm !== TPM_ALG.aes || mode !== TPM_ALG.cfb || (bits !== 128 && bits !== 256)) {
    throw unsupported(`${what}: its inner cipher is not AES in CFB mode`);
  }
  return bits;
}

/** TPMT_RSA_SCHEME, TPMT_ECC_SCHEME and TPMT_KDF_SCHEME: an algorithm, and a hash where it takes one. */
function readScheme(reader: TpmReader): void {
  const algorithm = reader.u16();
  if (algorithm === TPM_ALG.null || algorithm === TPM_ALG.rsaes) return;
  reader.u16();
  if (algorithm === TPM_ALG.ecdaa) reader.u16();
}

function readRsa(reader: TpmReader): KeyObject {
  reader.u16(); // keyBits: the modulus says it
  const exponent = reader.u32();
  const e = Buffer.alloc(4);
  e.writeUInt32BE(exponent === 0 ? 65_537 : exponent);
  const modulus = reader.sized();
  if (modulus.length < 256 || modulus.length > 512) {
    throw unsupported(`an RSA key of ${modulus.length * 8} bits; 2048 to 4096 are taken`);
  }
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: stripZeros(e).toString('base64url') };
  return loadKey(jwk);
}

/** TPM_ECC_CURVE: the NIST curves, with the bytes of a coordinate. */
const CURVES = new Map([
  [0x0003, { crv: 'P-256', size: 32 }],
  [0x0004, { crv: 'P-384', size: 48 }],
]);

function readEcc(reader: TpmReader, what: string): KeyObject {
  const curve = CURVES.get(reader.u16());
  if (curve === undefined) throw unsupported(`${what}: its curve is neither P-256 nor P-384`);
  readScheme(reader); // the KDF
  const { crv, size } = curve;
  const [x, y] = [padded(reader.sized(), size), padded(reader.sized(), size)];
  return loadKey({ kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') });
}

function loadKey(jwk: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw new AttestationError('tpm-malformed', 'the numbers of the public key are not a key', { cause });
  }
}

function padded(bytes: Buffer, size: number): Buffer {
  if (bytes.length > size) throw malformed(`a coordinate of ${bytes.length} bytes; the curve has ${size}`);
  return Buffer.concat([Buffer.alloc(size - bytes.length), bytes]);
}

function stripZeros(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  return bytes.subarray(Math.max(first, 0));
}

function unsupported(message: string): AttestationError {
  return new AttestationError('tpm-unsupported', message);
}

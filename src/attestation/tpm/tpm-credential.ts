import { constants, createCipheriv, createHmac, publicEncrypt } from 'node:crypto';

import { tpmSized } from './tpm-bytes.ts';
import type { TpmPublic } from './tpm-public.ts';

/** SHA-256 is the name algorithm of every key that is taken: see `parseTpmPublic`. */
const HASH = 'sha256';
const HASH_BYTES = 32;

/** In front of a credential in the file that `tpm2_activatecredential` reads: a magic number, version 1. */
const FILE_HEADER = Buffer.from('badcc0de00000001', 'hex');

/** Bytes of the secret and of the seed, from a source fit for keys. */
export type CredentialRandomness = { secret: Uint8Array; seed: Uint8Array };

/** Random bytes that `makeCredential` needs for each of the two. */
export const CREDENTIAL_RANDOM_BYTES: number = HASH_BYTES;

/**
 * Wraps a secret so that only the TPM with the endorsement key can open it, and only if it also holds the key
 * that is named: TPM2_MakeCredential (TPM 2.0 Part 1, "Credential Protection", and Part 1 annex B, "Secret
 * Sharing"). Whoever gives the secret back proved that both keys are in one TPM.
 * @param name of the attestation key
 * @returns the bytes of the file that `tpm2_activatecredential -i` reads
 */
export function makeCredential(
  endorsement: TpmPublic,
  name: Uint8Array,
  { secret, seed }: CredentialRandomness,
): Buffer {
  const keyBits = endorsement.storageKeyBits ?? 128;
  const encryptedSeed = publicEncrypt(
    {
      key: endorsement.key,
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: HASH,
      // The label counts with its final NUL.
      oaepLabel: Buffer.from('IDENTITY\0'),
    },
    seed,
  );
  const cipherKey = deriveKey(seed, 'STORAGE', name, keyBits);
  // The key is new for each credential, so the all-zero vector of the specification repeats with no key.
  const cipher = createCipheriv(`aes-${keyBits}-cfb`, cipherKey, Buffer.alloc(16));
  const identity = Buffer.concat([cipher.update(tpmSized(secret)), cipher.final()]);
  const macKey = deriveKey(seed, 'INTEGRITY', Buffer.alloc(0), HASH_BYTES * 8);
  const mac = createHmac(HASH, macKey).update(identity).update(name).digest();
  return Buffer.concat([
    FILE_HEADER,
    tpmSized(Buffer.concat([tpmSized(mac), identity])),
    tpmSized(encryptedSeed),
  ]);
}

/** KDFa (TPM 2.0 Part 1, "Key Derivation Function"): HMAC in counter mode; one block is enough for all keys here. */
function deriveKey(seed: Uint8Array, label: string, context: Uint8Array, bits: number): Buffer {
  const counter = Buffer.from([0, 0, 0, 1]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bits);
  const block = createHmac(HASH, seed)
    .update(counter)
    .update(`${label}\0`)
    .update(context)
    .update(length)
    .digest();
  return block.subarray(0, bits / 8);
}

import { AttestationError } from '../attestation-error.ts';

/** Reads a structure as a TPM marshals it: big-endian, sized buffers by 16 bits (TPM 2.0 Part 2, "TPM2B"). */
export type TpmReader = {
  u8: () => number;
  u16: () => number;
  u32: () => number;
  u64: () => bigint;
  bytes: (length: number) => Buffer;
  /** A TPM2B: 16 bits of length, then as many bytes. */
  sized: () => Buffer;
  offset: () => number;
  /** @throws AttestationError `tpm-malformed` where bytes are left */
  end: () => void;
};

/**
 * @param what names the structure in an error
 * @throws AttestationError `tpm-malformed` from any of its calls where the bytes end too early
 */
export function tpmReader(bytes: Uint8Array, what: string): TpmReader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: number): number => {
    const from = at;
    if (from + length > buffer.length) {
      throw malformed(`${what}: it ends after ${buffer.length} bytes, ${from + length} are needed`);
    }
    at += length;
    return from;
  };
  const slice = (length: number): Buffer => {
    const from = take(length);
    return buffer.subarray(from, from + length);
  };
  const u16 = (): number => buffer.readUInt16BE(take(2));
  return {
    u8: () => buffer.readUInt8(take(1)),
    u16,
    u32: () => buffer.readUInt32BE(take(4)),
    u64: () => buffer.readBigUInt64BE(take(8)),
    bytes: slice,
    sized: () => slice(u16()),
    offset: () => at,
    end: () => {
      if (at !== buffer.length) throw malformed(`${what}: ${buffer.length - at} bytes follow its end`);
    },
  };
}

/** A TPM2B around bytes. */
export function tpmSized(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The error for bytes that are not the structure they should be. */
export function malformed(message: string): AttestationError {
  return new AttestationError('tpm-malformed', message);
}

/** Algorithms by number: TCG Algorithm Registry, table "TPM_ALG_ID". */
export const TPM_ALG = {
  rsa: 0x0001,
  aes: 0x0006,
  sha256: 0x000b,
  null: 0x0010,
  rsassa: 0x0014,
  rsaes: 0x0015,
  ecdsa: 0x0018,
  ecdaa: 0x001a,
  ecc: 0x0023,
  cfb: 0x0043,
} as const;

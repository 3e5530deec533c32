import { verify } from 'node:crypto';

import { AttestationError } from '../attestation-error.ts';
import { TPM_ALG, malformed, tpmReader } from './tpm-bytes.ts';
import type { TpmPublic } from './tpm-public.ts';

/** What a TPM says in a quote (TPMS_ATTEST with TPMS_QUOTE_INFO), once its signature was checked. */
export type TpmQuote = {
  /** What the asker gave: the quote was made after this was known. */
  extraData: Buffer;
  /** Times that the TPM was reset or its machine powered on. A reset sets the PCRs back. */
  resetCount: number;
  /** Times that it was restarted or resumed since the last reset. */
  restartCount: number;
  /** The one PCR of the SHA-256 bank that is quoted. */
  pcr: number;
  /** SHA-256 over the value of that PCR. */
  pcrDigest: Buffer;
};

/** TPM_GENERATED_VALUE: no TPM signs anything from outside that begins so with a restricted key. */
const GENERATED = 0xff544347;
/** TPM_ST_ATTEST_QUOTE. */
const ATTEST_QUOTE = 0x8018;

/**
 * Verifies a quote. The steps, in this order; each stops the rest:
 *
 * 1. the signature over the exact bytes is by `key` (RSASSA or ECDSA, with SHA-256);
 * 2. the bytes begin with TPM_GENERATED_VALUE: the TPM made them, nobody gave them to it to sign;
 * 3. they are a quote, over exactly one PCR of the SHA-256 bank, with nothing after it.
 *
 * @param message the TPMS_ATTEST
 * @param signature the TPMT_SIGNATURE
 * @throws AttestationError `tpm-signature-invalid`, `tpm-malformed`, `tpm-unsupported`
 */
export function verifyQuote(message: Uint8Array, signature: Uint8Array, key: TpmPublic): TpmQuote {
  if (!isSignedBy(message, signature, key)) {
    throw new AttestationError('tpm-signature-invalid', 'the quote is not signed by the attestation key');
  }
  const reader = tpmReader(message, 'quote');
  if (reader.u32() !== GENERATED) throw malformed('quote: a TPM did not make it');
  if (reader.u16() !== ATTEST_QUOTE) throw malformed('quote: it attests something else');
  reader.sized(); // qualifiedSigner: the name of the key with those of its parents
  const extraData = reader.sized();
  reader.u64(); // clock
  const resetCount = reader.u32();
  const restartCount = reader.u32();
  reader.u8(); // safe
  reader.u64(); // firmwareVersion
  const pcr = readOnePcr(reader);
  const pcrDigest = reader.sized();
  reader.end();
  return { extraData, resetCount, restartCount, pcr, pcrDigest };
}

function isSignedBy(message: Uint8Array, signature: Uint8Array, { key, type }: TpmPublic): boolean {
  const reader = tpmReader(signature, 'signature');
  const scheme = reader.u16();
  const hash = reader.u16();
  if (hash !== TPM_ALG.sha256) {
    throw new AttestationError('tpm-unsupported', 'the quote is not signed with SHA-256');
  }
  if (scheme === TPM_ALG.rsassa && type === 'rsa') {
    const bytes = reader.sized();
    reader.end();
    return verify('sha256', message, key, bytes);
  }
  if (scheme === TPM_ALG.ecdsa && type === 'ecc') {
    const [r, s] = [reader.sized(), reader.sized()];
    reader.end();
    const size = key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 48 : 32;
    if (r.length > size || s.length > size) throw malformed('signature: its numbers are too large');
    const raw = Buffer.alloc(2 * size);
    raw.set(r, size - r.length);
    raw.set(s, 2 * size - s.length);
    return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, raw);
  }
  throw new AttestationError('tpm-unsupported', 'the quote is signed with neither RSASSA nor ECDSA');
}

/** TPML_PCR_SELECTION of one bank and one PCR. */
function readOnePcr(reader: ReturnType<typeof tpmReader>): number {
  const banks = reader.u32();
  const bank = reader.u16();
  if (banks !== 1 || bank !== TPM_ALG.sha256) {
    throw new AttestationError('tpm-unsupported', 'the quote is not over the SHA-256 bank alone');
  }
  const selected = [...reader.bytes(reader.u8())].flatMap((byte, index) =>
    Array.from({ length: 8 }, (_, bit) => index * 8 + bit).filter((pcr) => (byte & (1 << (pcr % 8))) !== 0),
  );
  const [pcr] = selected;
  if (pcr === undefined || selected.length !== 1) {
    throw new AttestationError('tpm-unsupported', `the quote is over ${selected.length} PCRs, not one`);
  }
  return pcr;
}

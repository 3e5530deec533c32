import { X509Certificate } from 'node:crypto';

import { AttestationError } from '../attestation-error.ts';
import type { TpmPublic } from './tpm-public.ts';

/** Certificates between an endorsement key and its maker's root at most. */
const MAX_CHAIN = 5;

/** The certificates of TPM makers that an operator trusts: roots, and what lies between. */
export type EndorsementRoots = readonly X509Certificate[];

/**
 * Reads the certificates in a PEM file.
 * @throws AttestationError `tpm-certificate-invalid`
 */
export function parseEndorsementRoots(pem: string, what: string): EndorsementRoots {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw invalid(`${what}: it holds no certificate in PEM`);
  return blocks.map((block) => load(block, what));
}

/**
 * Whether a certificate says that a trusted maker put this endorsement key into a TPM: its key is the key, it and
 * its issuers are valid at `now`, and each is signed by the next up to a root of the operator's (RFC 5280 section
 * 6, as far as it concerns an endorsement certificate: no names and no revocation).
 * @returns undefined where it does, else why not, in words
 */
export function endorsementProblem(
  certificate: Uint8Array | undefined,
  endorsement: TpmPublic,
  roots: EndorsementRoots,
  now: Date,
): string | undefined {
  if (roots.length === 0) return 'no certificate of a TPM maker is trusted here';
  if (certificate === undefined) return 'the TPM holds no endorsement certificate';
  let current: X509Certificate;
  try {
    current = load(certificate, 'endorsement certificate');
  } catch (thrown) {
    if (!(thrown instanceof AttestationError)) throw thrown;
    return thrown.message;
  }
  if (!current.publicKey.equals(endorsement.key)) return 'the endorsement certificate is for another key';
  for (let depth = 0; depth < MAX_CHAIN; depth += 1) {
    if (!isValidAt(current, now)) return `a certificate is not valid at this time: ${current.subject}`;
    const issuer = roots.find(
      (root) => root.ca && current.checkIssued(root) && current.verify(root.publicKey),
    );
    if (issuer === undefined) return `no trusted certificate issued: ${current.subject}`;
    if (issuer.checkIssued(issuer)) {
      return isValidAt(issuer, now)
        ? undefined
        : `a certificate is not valid at this time: ${issuer.subject}`;
    }
    current = issuer;
  }
  return `more than ${MAX_CHAIN} certificates lie between the endorsement key and a root`;
}

function isValidAt(certificate: X509Certificate, now: Date): boolean {
  return certificate.validFromDate <= now && now <= certificate.validToDate;
}

function load(bytes: string | Uint8Array, what: string): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch (cause) {
    throw invalid(`${what}: it is not an X.509 certificate`, cause);
  }
}

function invalid(message: string, cause?: unknown): AttestationError {
  return new AttestationError('tpm-certificate-invalid', message, { cause });
}

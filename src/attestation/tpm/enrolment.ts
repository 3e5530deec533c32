import { base64 } from '../../base/bytes.ts';
import { type Sha256, sha256 } from '../../base/digest.ts';
import { formatEnvelope, parseEnvelope, signEnvelope, signersOf } from '../../base/dsse.ts';
import { type PrivateKey, loadPublicKey, publicKeyPem } from '../../base/ed25519.ts';
import { type JsonValue, canonicalJson, parseJson } from '../../base/json.ts';
import { type Reader, digest, mapped, optional, readShape, record, text } from '../../base/shape.ts';
import { AttestationError, refusingWith } from '../attestation-error.ts';
import {
  type TpmPublic,
  parseTpmPublic,
  requireAttestationKey,
  requireEndorsementKey,
} from './tpm-public.ts';

/** A host's wish to have its TPM's key known: both keys, and the certificate of the endorsement key's maker. */
export type EnrolmentFields = {
  attestationKey: Buffer;
  endorsementKey: Buffer;
  endorsementCertificate?: Buffer | undefined;
};

/** An enrolment whose signature is by the host's key, and whose keys are fit. That they are in one TPM is not known yet. */
export type VerifiedEnrolment = {
  host: Sha256;
  /** SHA-256 of the body, its name in `PUT /v1/tpm/enrolments/…`. */
  digest: Sha256;
  attestation: TpmPublic;
  endorsement: TpmPublic;
  certificate: Buffer | undefined;
};

/** Bytes of an enrolment at most: two public areas and one certificate, in base64 twice over. */
export const MAX_ENROLMENT_BYTES: number = 32 * 1024;
const PAYLOAD_TYPE = 'application/vnd.sealborn.tpm-enrolment+json';

const bytes: Reader<Buffer> = mapped(text({ max: MAX_ENROLMENT_BYTES }), (value) => base64(value));
const enrolmentShape = record({
  host: record({ id: digest, publicKey: text({ max: 4096 }) }),
  attestationKey: bytes,
  endorsementKey: bytes,
  endorsementCertificate: optional(bytes),
});

/** The body of an enrolment: a DSSE envelope signed by the host's key. */
export function signEnrolment(fields: EnrolmentFields, key: PrivateKey): Buffer {
  const { attestationKey, endorsementKey, endorsementCertificate } = fields;
  const statement: JsonValue = {
    host: { id: key.publicKey.id, publicKey: publicKeyPem(key.publicKey) },
    attestationKey: attestationKey.toString('base64'),
    endorsementKey: endorsementKey.toString('base64'),
    ...(endorsementCertificate === undefined
      ? {}
      : { endorsementCertificate: endorsementCertificate.toString('base64') }),
  };
  const payload = Buffer.from(canonicalJson(statement));
  return Buffer.from(
    formatEnvelope(signEnvelope({ payloadType: PAYLOAD_TYPE, payload, signatures: [] }, key)),
  );
}

/**
 * Verifies an enrolment: signed by the host's own key, and its two keys are what each must be.
 * @throws AttestationError `envelope-malformed`, `statement-malformed`, `signature-invalid`,
 * `identity-mismatch`, `tpm-malformed`, `tpm-unsupported`, `tpm-key-unfit`
 */
export function verifyEnrolment(body: Uint8Array): VerifiedEnrolment {
  const envelope = refusingWith('envelope-malformed', () =>
    parseEnvelope(body, 'enrolment', MAX_ENROLMENT_BYTES),
  );
  if (envelope.payloadType !== PAYLOAD_TYPE) {
    throw new AttestationError('payload-type-unknown', `enrolment: it is not of type "${PAYLOAD_TYPE}"`);
  }
  const { host, key, ...keys } = refusingWith('statement-malformed', () => {
    const limits = { maxBytes: MAX_ENROLMENT_BYTES, maxDepth: 8 };
    const statement = readShape(
      enrolmentShape,
      parseJson(envelope.payload, 'enrolment', limits),
      'enrolment',
    );
    return { ...statement, key: loadPublicKey(statement.host.publicKey, 'enrolment: host.publicKey') };
  });
  if (host.id !== key.id) {
    throw new AttestationError('identity-mismatch', `enrolment: it names the host ${host.id}, not its key's`);
  }
  if (signersOf(envelope, [key]).length !== 1) {
    throw new AttestationError('signature-invalid', "enrolment: the signature is not by the host's key");
  }
  const attestation = parseTpmPublic(keys.attestationKey, 'attestation key');
  const endorsement = parseTpmPublic(keys.endorsementKey, 'endorsement key');
  requireAttestationKey(attestation, 'attestation key');
  requireEndorsementKey(endorsement, 'endorsement key');
  return {
    host: key.id,
    digest: sha256(body),
    attestation,
    endorsement,
    certificate: keys.endorsementCertificate,
  };
}

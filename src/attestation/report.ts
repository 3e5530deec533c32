import { type Sha256, isSha256, sha256 } from '../base/digest.ts';
import { type Envelope, formatEnvelope, parseEnvelope, signEnvelope, signersOf } from '../base/dsse.ts';
import { type PrivateKey, type PublicKey, loadPublicKey, publicKeyPem } from '../base/ed25519.ts';
import { BaseError } from '../base/errors.ts';
import { PAYLOAD_TYPE, STATEMENT_TYPE } from '../base/in-toto.ts';
import { type JsonValue, canonicalJson, parseJson } from '../base/json.ts';
import { type Reader, isObject, readShape } from '../base/shape.ts';
import { AttestationError, refusingWith } from './attestation-error.ts';
import { type TpmEvidence, formatEvidence } from './tpm/evidence.ts';
import { REPORT_PREDICATE_TYPE, type Report, type Words, claimShape, statementShape } from './statement.ts';

declare const verifiedBrand: unique symbol;

/**
 * A report whose signature was checked against the key that names its host. Only `verifyReport` makes one.
 * It proves who says this and that nobody changed it, not that what the host says is true.
 */
export type VerifiedReport = Report & {
  readonly [verifiedBrand]: true;
  /** SHA-256 of the exact body: the report's name in `PUT /v1/reports/…` and in the next one's `previous`. */
  readonly digest: Sha256;
  /** SHA-256 of the report without its TPM evidence: what a quote is bound to. */
  readonly core: Sha256;
};

/** What an agent puts into a report; the host's id and key come from the key that signs. */
export type ReportFields = Omit<Report, 'host' | 'tpm'> & { host: { labels: Words; facts: Words } };

/** Bytes of a report's body at most: what a collector reads, and what `buildReport` keeps to. */
export const MAX_REPORT_BYTES: number = 1024 * 1024;

// The payload travels in base64 (4/3), beside some 300 bytes of envelope; TPM evidence is added to it afterwards.
const MAX_EVIDENCE_BYTES = 100_000;
const MAX_PAYLOAD_BYTES = 780_000 - MAX_EVIDENCE_BYTES;

/**
 * The statement of a report: the bytes to sign, in canonical JSON. Its subject is the host, named by the
 * digest of its public key. Where the findings are too large for `MAX_REPORT_BYTES` the last of them are left
 * out, down to none; `driftTotal` still counts them. So whoever can choose the names of files on a host can't
 * keep it from reporting drift.
 * @throws AttestationError `statement-malformed` where a field is out of its bounds
 */
export function buildReport(fields: ReportFields, key: PublicKey): Buffer {
  const host = { ...fields.host, id: key.id, publicKey: publicKeyPem(key) };
  let drift = fields.verdict.drift;
  for (;;) {
    const payload = Buffer.from(
      canonicalJson({
        _type: STATEMENT_TYPE,
        subject: [{ name: `urn:sealborn:host:${key.id}`, digest: { sha256: key.id } }],
        predicateType: REPORT_PREDICATE_TYPE,
        predicate: { ...fields, host, verdict: { ...fields.verdict, drift } },
      }),
    );
    if (payload.length <= MAX_PAYLOAD_BYTES || drift.length === 0) {
      readStatement(payload);
      return payload;
    }
    drift = drift.slice(0, Math.floor(drift.length / 2));
  }
}

/** SHA-256 of a report's statement without its TPM evidence, in canonical JSON: what a quote is bound to. */
export function reportCore(statement: Buffer): Sha256 {
  return coreOf(parsePayload(statement));
}

/**
 * The statement with what the TPM says of it.
 * @throws AttestationError `statement-malformed` where the evidence is out of its bounds
 */
export function addEvidence(statement: Buffer, evidence: TpmEvidence): Buffer {
  const value = parsePayload(statement);
  const predicate = isObject(value) ? value['predicate'] : undefined;
  const added = formatEvidence(evidence) as JsonValue;
  if (!isObject(value) || !isObject(predicate) || canonicalJson(added).length > MAX_EVIDENCE_BYTES) {
    throw new AttestationError('statement-malformed', 'report: the evidence does not fit into it');
  }
  const payload = Buffer.from(canonicalJson({ ...value, predicate: { ...predicate, tpm: added } }));
  readStatement(payload);
  return payload;
}

function coreOf(value: JsonValue): Sha256 {
  const predicate = isObject(value) ? value['predicate'] : undefined;
  if (!isObject(value) || !isObject(predicate)) return sha256(canonicalJson(value));
  const { tpm: _, ...rest } = predicate;
  return sha256(canonicalJson({ ...value, predicate: rest }));
}

/**
 * The report's body: a DSSE envelope over what `buildReport` made, with one signature.
 * @throws AttestationError `statement-malformed`, `identity-mismatch` where the statement names another key
 */
export function signReport(statement: Buffer, key: PrivateKey): Buffer {
  // A key never signs what this program could not read itself, nor for another host.
  requireIdentity(readStatement(statement), key.publicKey);
  const envelope: Envelope = { payloadType: PAYLOAD_TYPE, payload: statement, signatures: [] };
  return Buffer.from(formatEnvelope(signEnvelope(envelope, key)));
}

/**
 * Verifies a report's body. The steps, in this order; each stops the rest:
 *
 * 1. it is at most `MAX_REPORT_BYTES`;
 * 2. it is a DSSE envelope (v1.0.2) of in-toto's payload type, with one signature;
 * 3. its bytes are exactly those that `signReport` writes for that payload and signature. DSSE signs the
 *    payload alone; if white space or `keyid` could vary, anyone who saw a report could make a second body of
 *    it with another digest, and that would look like a fork of the host's chain;
 * 4. the key inside is a sound Ed25519 key, and the signature is by it;
 * 5. the statement has its shape;
 * 6. `host.id` and the subject are that key's id, so that no other key can speak for the host.
 *
 * @throws AttestationError with a code for each
 */
export function verifyReport(body: Uint8Array): VerifiedReport {
  const envelope = openEnvelope(body);
  const { key, claimedHost } = claimedKey(envelope.payload);
  const [signature] = envelope.signatures;
  if (signature?.keyid !== key.id || formatEnvelope(envelope) !== Buffer.from(body).toString('latin1')) {
    throw new AttestationError(
      'envelope-not-canonical',
      "report: the envelope is not written as sealborn writes it: its keyid, spacing or fields differ from the host's own",
      { claimedHost },
    );
  }
  if (signersOf(envelope, [key]).length !== 1) {
    throw new AttestationError('signature-invalid', 'report: the signature is not by the key in the report', {
      claimedHost,
    });
  }
  const statement = readStatement(envelope.payload, claimedHost);
  requireIdentity(statement, key);
  const digest = sha256(body);
  return { ...statement.predicate, digest, core: reportCore(envelope.payload) } as VerifiedReport;
}

function openEnvelope(body: Uint8Array): Envelope {
  if (body.length > MAX_REPORT_BYTES) {
    throw new AttestationError(
      'report-too-large',
      `report: it is ${body.length} bytes; at most ${MAX_REPORT_BYTES} are read`,
    );
  }
  const envelope = refusingWith('envelope-malformed', () => parseEnvelope(body, 'report', MAX_REPORT_BYTES));
  if (envelope.payloadType !== PAYLOAD_TYPE) {
    throw new AttestationError(
      'payload-type-unknown',
      `report: the payload is of type ${JSON.stringify(envelope.payloadType)}, not "${PAYLOAD_TYPE}"`,
    );
  }
  if (envelope.signatures.length !== 1) {
    throw new AttestationError(
      'envelope-malformed',
      `report: it has ${envelope.signatures.length} signatures; a host signs its report once`,
    );
  }
  return envelope;
}

function claimedKey(payload: Buffer): { key: PublicKey; claimedHost: Sha256 | undefined } {
  const { predicateType, predicate } = read(claimShape, parsePayload(payload));
  const claimedHost = isSha256(predicate.host.id) ? predicate.host.id : undefined;
  if (predicateType !== REPORT_PREDICATE_TYPE) {
    throw new AttestationError(
      'format-unsupported',
      `report: it is of type ${JSON.stringify(predicateType)}; this program reads "${REPORT_PREDICATE_TYPE}"`,
      { claimedHost, hint: 'Bring the collector to the version of the agents, or a later one, first.' },
    );
  }
  try {
    return { key: loadPublicKey(predicate.host.publicKey, 'report: host.publicKey'), claimedHost };
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    const code = cause.code === 'key-weak' ? 'host-key-weak' : 'host-key-invalid';
    throw new AttestationError(code, cause.message, { cause, claimedHost });
  }
}

type Statement = { subject: { digest: { sha256: Sha256 } }[]; predicate: Report };

function readStatement(payload: Buffer, claimedHost?: Sha256): Statement {
  return read(statementShape, parsePayload(payload), claimedHost);
}

function requireIdentity({ subject, predicate }: Statement, key: PublicKey): void {
  const { id } = predicate.host;
  if (id === key.id && subject.every(({ digest }) => digest.sha256 === key.id)) return;
  throw new AttestationError(
    'identity-mismatch',
    `report: it names the host ${id}, but the key that signs is ${key.id}`,
    { claimedHost: id, hint: "A host's id is the SHA-256 of its public key; nobody can choose one." },
  );
}

function parsePayload(payload: Buffer): JsonValue {
  return refusingWith('statement-malformed', () =>
    parseJson(payload, 'report', { maxBytes: MAX_REPORT_BYTES, maxDepth: 16 }),
  );
}

function read<T>(reader: Reader<T>, value: JsonValue, claimedHost?: Sha256): T {
  return refusingWith('statement-malformed', () => readShape(reader, value, 'report'), claimedHost);
}

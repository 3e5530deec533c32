import { MAX_ENROLMENT_BYTES, signEnrolment } from '../../attestation/tpm/enrolment.ts';
import { base64 } from '../../base/bytes.ts';
import { sha256 } from '../../base/digest.ts';
import type { PrivateKey } from '../../base/ed25519.ts';
import { parseJson } from '../../base/json.ts';
import { oneOf, readShape, record, text } from '../../base/shape.ts';
import { HostError } from '../../host/host-error.ts';
import type { HttpClient } from '../../host/net/http-client.ts';
import type { Tpm } from '../../host/tpm.ts';
import { collectorUrl } from './collector-url.ts';

const credentialShape = record({ credential: text({ max: MAX_ENROLMENT_BYTES }) }, { open: true });
const doneShape = record({ endorsement: oneOf('verified', 'unverified') }, { open: true });

/**
 * Makes this machine's TPM known to the collector by credential activation: the collector wraps a secret for the
 * endorsement key and the name of the attestation key, and only a TPM that holds both gives it back.
 * @returns whether the collector trusts the endorsement key's maker
 * @throws HostError `tpm-failed`, `answer-malformed`, and what the client throws; BaseError for a malformed answer
 */
export async function enrolTpm(
  tpm: Tpm,
  key: PrivateKey,
  client: HttpClient,
  collector: URL,
  signal: AbortSignal,
): Promise<'verified' | 'unverified'> {
  const keys = await tpm.keys();
  const body = signEnrolment({ ...keys, endorsementCertificate: await tpm.endorsementCertificate() }, key);
  const path = `/v1/tpm/enrolments/${sha256(body)}`;
  const begun = await put(client, collectorUrl(collector, path), body, signal);
  const secret = await tpm.activate(
    base64(readShape(credentialShape, begun, 'answer').credential, 'credential'),
  );
  const answer = Buffer.from(JSON.stringify({ secret: secret.toString('hex') }));
  const done = await put(client, collectorUrl(collector, `${path}/secret`), answer, signal);
  return readShape(doneShape, done, 'answer').endorsement;
}

async function put(client: HttpClient, url: URL, body: Buffer, signal: AbortSignal): Promise<unknown> {
  const answer = await client.put(url, body, 'application/json', signal);
  if (answer.status < 200 || answer.status > 299) {
    throw new HostError(
      'answer-malformed',
      `the collector answered ${answer.status} to an enrolment: ${answer.body.toString('utf8', 0, 300)}`,
    );
  }
  return parseJson(answer.body, 'answer', { maxBytes: MAX_ENROLMENT_BYTES, maxDepth: 8 });
}

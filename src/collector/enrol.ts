import { type VerifiedEnrolment, verifyEnrolment } from '../attestation/tpm/enrolment.ts';
import { CREDENTIAL_RANDOM_BYTES, makeCredential } from '../attestation/tpm/tpm-credential.ts';
import { endorsementProblem } from '../attestation/tpm/endorsement.ts';
import { BaseError } from '../base/errors.ts';
import { type Sha256, sha256 } from '../base/digest.ts';
import { parseJson } from '../base/json.ts';
import { readShape, record, text } from '../base/shape.ts';
import type { Log } from '../host/log/log.ts';
import { CollectorError } from './collector-error.ts';
import type { Registered } from './registered.ts';
import type { Store } from './store.ts';

/** The two steps by which a host's TPM becomes known: docs/formats.md "Enrolment". */
export type Enroller = {
  /**
   * `PUT /v1/tpm/enrolments/<name>`: a credential that only the named TPM can open.
   * @throws AttestationError; CollectorError `digest-mismatch`, `not-found`, `tpm-other-key`, `overloaded`
   */
  begin: (name: string, body: Buffer, at: Date) => { credential: string };
  /**
   * `PUT /v1/tpm/enrolments/<name>/secret`: the host opened it, so both keys are in one TPM: its key is kept.
   * @throws CollectorError `not-found`, `tpm-secret-wrong`, `tpm-other-key`
   */
  finish: (
    name: string,
    body: Buffer,
    at: Date,
  ) => { enrolled: true; endorsement: 'verified' | 'unverified' };
};

/** Bytes of the second step's body at most. */
export const MAX_SECRET_BYTES = 1024;
/** Enrolments that wait for their second step at most, and for how long. */
const MAX_WAITING = 1000;
const WAIT_MS = 5 * 60_000;

const secretShape = record({ secret: text({ max: 128, pattern: /^[0-9a-f]+$/, is: 'hexadecimal' }) });

type Waiting = { enrolment: VerifiedEnrolment; secretDigest: Sha256; until: number };

/** Makes the enroller; what waits for its second step is in memory alone, and a host just begins again. */
export function createEnroller(options: {
  store: Store;
  registered: Registered;
  log: Log;
  randomBytes: (length: number) => Buffer;
}): Enroller {
  const { store, registered, log, randomBytes } = options;
  const waiting = new Map<string, Waiting>();
  return {
    begin: (name, body, at) => {
      const enrolment = verifyEnrolment(body);
      if (enrolment.digest !== name) {
        throw new CollectorError('digest-mismatch', `the body's SHA-256 is not the ${name} of the path`);
      }
      requireNoOther(store, enrolment);
      const now = at.getTime();
      for (const [key, { until }] of waiting) if (until < now) waiting.delete(key);
      if (waiting.size >= MAX_WAITING) {
        throw new CollectorError(
          'overloaded',
          `${MAX_WAITING} enrolments wait for their second step already`,
        );
      }
      const secret = randomBytes(CREDENTIAL_RANDOM_BYTES);
      const seed = randomBytes(CREDENTIAL_RANDOM_BYTES);
      const credential = makeCredential(enrolment.endorsement, enrolment.attestation.name, { secret, seed });
      waiting.set(name, { enrolment, secretDigest: sha256(secret), until: now + WAIT_MS });
      return { credential: credential.toString('base64') };
    },
    finish: (name, body, at) => {
      const found = waiting.get(name);
      // One try for each credential: a guess costs a new one.
      waiting.delete(name);
      if (found === undefined || found.until < at.getTime()) {
        throw new CollectorError('not-found', 'no enrolment of this name waits here', {
          hint: 'It may have taken too long, or the collector was started again. Begin once more.',
        });
      }
      if (sha256(readSecret(body)) !== found.secretDigest) {
        throw new CollectorError(
          'tpm-secret-wrong',
          'the credential was not opened: the keys are not in one TPM',
        );
      }
      const { enrolment } = found;
      requireNoOther(store, enrolment);
      const problem = endorsementProblem(enrolment.certificate, enrolment.endorsement, registered.roots, at);
      store.keepTpmKey(
        { host: enrolment.host, name: enrolment.attestation.name.toString('hex'), problem: problem ?? '' },
        at.getTime(),
      );
      log.info({ code: 'tpm-enrolled', host: enrolment.host, problem }, "a host's TPM is known from now on");
      return { enrolled: true, endorsement: problem === undefined ? 'verified' : 'unverified' };
    },
  };
}

/** A host's key that turns up with another TPM was copied to another machine: a person must look. */
function requireNoOther(store: Store, { host, attestation }: VerifiedEnrolment): void {
  if (store.host(host) === undefined) {
    throw new CollectorError(
      'not-found',
      `no host ${host} is known here; its first report comes before its TPM`,
    );
  }
  const known = store.tpmKey(host);
  if (known === undefined || known.name === attestation.name.toString('hex')) return;
  throw new CollectorError('tpm-other-key', `the host ${host} was enrolled with another TPM`, {
    hint: "Its key was copied, or its mainboard changed. Give the machine a new key: remove the agent's host.key.",
  });
}

function readSecret(body: Buffer): Buffer {
  try {
    const value = parseJson(body, 'secret', { maxBytes: MAX_SECRET_BYTES, maxDepth: 4 });
    return Buffer.from(readShape(secretShape, value, 'secret').secret, 'hex');
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new CollectorError('tpm-secret-wrong', cause.message, { cause });
  }
}

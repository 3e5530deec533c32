import { type Sha256, sha256 } from '../base/digest.ts';
import { type Envelope, parseEnvelope, signersOf } from '../base/dsse.ts';
import { BaseError } from '../base/errors.ts';
import type { ReleaseId } from '../base/release-id.ts';
import { BundleError } from './bundle-error.ts';
import { BUNDLE_FILE_LIMITS, type BundleFileName, type BundleFiles } from './bundle-files.ts';
import { PAYLOAD_TYPE } from '../base/in-toto.ts';
import { type ReleasePredicate, type ReleaseStatement, parseStatement } from './statement.ts';
import type { TrustSet } from './trust.ts';

declare const verifiedBrand: unique symbol;

/**
 * A bundle whose signatures, environment, sequence and digests were checked against a trust set. Only
 * `verifyBundle` makes one, and everything that decides or measures takes this type: unverified bytes can't
 * get there.
 */
export type VerifiedBundle = {
  readonly [verifiedBrand]: true;
  readonly release: ReleaseId;
  readonly predicate: ReleasePredicate;
  /** The exact bytes of `policy.json` and `manifest.mtree`, as named by the signed statement. */
  readonly policy: Buffer;
  readonly manifest: Buffer;
  /** The ids of the distinct keys that signed. */
  readonly signers: readonly Sha256[];
  /** SHA-256 of each of the three files as read. */
  readonly digests: ReadonlyMap<BundleFileName, Sha256>;
};

/**
 * Verifies a bundle for one machine. The steps, in this order; each stops the rest:
 *
 * 1. the envelope is DSSE v1.0.2 with the payload type of in-toto;
 * 2. at least `threshold` distinct trusted keys signed the exact payload bytes (DSSE "verification": nothing
 *    inside the payload is looked at before);
 * 3. the payload is a release statement of a format this program knows;
 * 4. the release is for this machine's environment;
 * 5. its sequence is not below the trust set's minimum;
 * 6. the two other files are the ones that the statement names, by SHA-256.
 *
 * @throws BundleError
 */
export function verifyBundle(files: BundleFiles, trust: TrustSet): VerifiedBundle {
  const envelope = decodeEnvelope(files['release.dsse.json']);
  const signers = requireSignatures(envelope, trust);
  const statement = parseStatement(envelope.payload);
  requireEnvironment(statement, trust);
  requireSequence(statement, trust);
  const digests = requireDigests(statement, files);
  const verified: Omit<VerifiedBundle, typeof verifiedBrand> = {
    release: releaseIdOf(statement, envelope.payload),
    predicate: statement.predicate,
    policy: files['policy.json'],
    manifest: files['manifest.mtree'],
    signers,
    digests,
  };
  return verified as VerifiedBundle;
}

/**
 * Decodes a bundle's envelope and checks its payload type; verifies nothing.
 * @throws BundleError `envelope-malformed`, `payload-type-unknown`
 */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  let envelope: Envelope;
  try {
    envelope = parseEnvelope(bytes, 'release.dsse.json', BUNDLE_FILE_LIMITS['release.dsse.json']);
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new BundleError('envelope-malformed', cause.message, { cause });
  }
  if (envelope.payloadType !== PAYLOAD_TYPE) {
    throw new BundleError(
      'payload-type-unknown',
      `release.dsse.json: the payload is of type "${envelope.payloadType}", not "${PAYLOAD_TYPE}"`,
    );
  }
  return envelope;
}

/** What names a release everywhere: taken from its statement and the digest of the statement's bytes. */
export function releaseIdOf(statement: ReleaseStatement, payload: Uint8Array): ReleaseId {
  const { name, version, sequence, environment, source } = statement.predicate;
  return { name, version, sequence, environment, commit: source.commit, digest: sha256(payload) };
}

function requireSignatures(envelope: Envelope, trust: TrustSet): Sha256[] {
  if (envelope.signatures.length === 0) {
    throw new BundleError('unsigned', 'the bundle bears no signature', {
      hint: 'Sign it with "sealborn sign" before it goes into an image.',
    });
  }
  const signers = signersOf(envelope, trust.keys).map((key) => key.id);
  if (signers.length < trust.threshold) {
    const count =
      signers.length === 0 ? 'no trusted key' : `${signers.length} trusted ${plural(signers.length)}`;
    throw new BundleError(
      'threshold-not-met',
      `${count} signed the bundle; ${trust.threshold} must have (of ${trust.keys.length} in the trust set)`,
      { hint: 'Check that it was signed with the keys that trust.yaml lists, and not changed since.' },
    );
  }
  return signers;
}

function plural(count: number): string {
  return count === 1 ? 'key' : 'keys';
}

function requireEnvironment(statement: ReleaseStatement, trust: TrustSet): void {
  const { environment } = statement.predicate;
  if (environment === trust.environment) return;
  throw new BundleError(
    'environment-mismatch',
    `the bundle is for environment "${environment}"; this machine runs "${trust.environment}"`,
    { hint: 'A bundle is built and signed for one environment. Build one for this environment.' },
  );
}

function requireSequence(statement: ReleaseStatement, trust: TrustSet): void {
  const { sequence } = statement.predicate;
  if (sequence >= trust.minimumSequence) return;
  throw new BundleError(
    'sequence-too-old',
    `the bundle has sequence ${sequence}; the trust set takes none below ${trust.minimumSequence}`,
    { hint: 'This is an older release than the image may run. Build a new one.' },
  );
}

function requireDigests(statement: ReleaseStatement, files: BundleFiles): Map<BundleFileName, Sha256> {
  const digests = new Map<BundleFileName, Sha256>();
  for (const name of ['manifest.mtree', 'policy.json'] as const) {
    const actual = sha256(files[name]);
    const expected = statement.subjects[name];
    if (actual !== expected) {
      throw new BundleError(
        'digest-mismatch',
        `${name} has SHA-256 ${actual}; the signed release names ${expected}`,
        {
          hint: 'The file was changed after the build, or belongs to another release.',
        },
      );
    }
    digests.set(name, actual);
  }
  return digests.set('release.dsse.json', sha256(files['release.dsse.json']));
}

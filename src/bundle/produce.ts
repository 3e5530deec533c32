import { formatEnvelope, signEnvelope } from '../base/dsse.ts';
import type { PrivateKey } from '../base/ed25519.ts';
import type { BundleFiles } from './bundle-files.ts';
import { PAYLOAD_TYPE } from '../base/in-toto.ts';
import { type ReleasePredicate, formatStatement, parseStatement } from './statement.ts';
import { decodeEnvelope } from './verify.ts';

/**
 * The three files of a new, unsigned bundle. What is written is read back with the reader that machines use,
 * so that a build can't make a bundle that every machine refuses.
 * @throws BundleError `statement-malformed`
 */
export function produceBundle(predicate: ReleasePredicate, policy: Buffer, manifest: Buffer): BundleFiles {
  const payload = formatStatement(predicate, { 'manifest.mtree': manifest, 'policy.json': policy });
  parseStatement(payload);
  const envelope = formatEnvelope({ payloadType: PAYLOAD_TYPE, payload, signatures: [] });
  return { 'release.dsse.json': Buffer.from(envelope), 'policy.json': policy, 'manifest.mtree': manifest };
}

/**
 * The bytes of `release.dsse.json` with one more signature, over the exact payload that it holds.
 * @throws BundleError `envelope-malformed`, `payload-type-unknown`, `statement-malformed`
 */
export function signRelease(release: Uint8Array, key: PrivateKey): Buffer {
  const envelope = decodeEnvelope(release);
  // A key never signs what this program could not read itself.
  parseStatement(envelope.payload);
  return Buffer.from(formatEnvelope(signEnvelope(envelope, key)));
}

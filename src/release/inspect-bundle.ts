import { type Sha256, sha256 } from '../base/digest.ts';
import { messageOf } from '../base/errors.ts';
import type { ReleaseId } from '../base/release-id.ts';
import { BUNDLE_FILE_NAMES, type BundleFileName } from '../bundle/bundle-files.ts';
import { type ReleasePredicate, parseStatement } from '../bundle/statement.ts';
import { decodeEnvelope, releaseIdOf } from '../bundle/verify.ts';
import { readBundleDirectory } from '../host/bundle-directory.ts';
import { parseManifest } from '../manifest/parse.ts';
import { parsePolicyDocument } from '../policy/document.ts';

/** What a bundle says, none of it verified. */
export type Inspection = {
  release: ReleaseId;
  predicate: ReleasePredicate;
  /** The key ids that the signatures claim. */
  signatures: { claimedKey: string | null }[];
  files: { name: BundleFileName; bytes: number; sha256: Sha256; matches: boolean | null }[];
  manifest: { entries: number; files: number; bytes: number } | { error: string };
  policy: { policies: number; entities: number } | { error: string };
};

/**
 * Reads a bundle for a person, signed or not. Where the manifest or the policy can't be read, it says so and
 * shows the rest.
 * @throws BundleError where the envelope or the statement can't be read; HostError
 */
export async function inspectBundle(directory: string): Promise<Inspection> {
  const files = await readBundleDirectory(directory);
  const envelope = decodeEnvelope(files['release.dsse.json']);
  const statement = parseStatement(envelope.payload);
  return {
    release: releaseIdOf(statement, envelope.payload),
    predicate: statement.predicate,
    signatures: envelope.signatures.map(({ keyid }) => ({ claimedKey: keyid ?? null })),
    files: BUNDLE_FILE_NAMES.map((name) => {
      const digest = sha256(files[name]);
      const matches = name === 'release.dsse.json' ? null : statement.subjects[name] === digest;
      return { name, bytes: files[name].length, sha256: digest, matches };
    }),
    manifest: attempt(() => {
      const manifest = parseManifest(files['manifest.mtree']);
      return { entries: manifest.size, files: manifest.files, bytes: manifest.bytes };
    }),
    policy: attempt(() => {
      const document = parsePolicyDocument(files['policy.json']);
      return { policies: document.policies.length, entities: document.entities.length };
    }),
  };
}

function attempt<T>(read: () => T): T | { error: string } {
  try {
    return read();
  } catch (thrown) {
    return { error: messageOf(thrown) };
  }
}

import { type AccessDocument, parseAccessDocument } from '../access/document.ts';
import { type Sha256, sha256 } from '../base/digest.ts';
import { formatUid } from '../base/entity-uid.ts';
import { messageOf } from '../base/errors.ts';
import type { ReleaseId } from '../base/release-id.ts';
import { BUNDLE_FILE_NAMES, type BundleFileName } from '../bundle/bundle-files.ts';
import { type ReleasePredicate, parseStatement } from '../bundle/statement.ts';
import { decodeEnvelope, releaseIdOf } from '../bundle/verify.ts';
import { readBundleDirectory } from '../host/bundle-directory.ts';
import { parseManifest } from '../manifest/parse.ts';
import { parsePolicyDocument } from '../policy/document.ts';

export type AccessSummary = {
  proxies: string[];
  routes: { route: string; action: string; resource: string; file: string; line: number }[];
  apiKeys: { id: string; subject: string; expires?: string; revoked: boolean }[];
};

/** What a bundle says, none of it verified. */
export type Inspection = {
  release: ReleaseId;
  predicate: ReleasePredicate;
  /** The key ids that the signatures claim. */
  signatures: { claimedKey: string | null }[];
  files: { name: BundleFileName; bytes: number; sha256: Sha256; matches: boolean | null }[];
  manifest: { entries: number; files: number; bytes: number } | { error: string };
  policy: { policies: number; entities: number } | { error: string };
  /** How requests become questions: each route with its place; and what the release knows of who asks. */
  access: AccessSummary | { error: string };
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
    access: attempt(() => summaryOf(parseAccessDocument(parsePolicyDocument(files['policy.json']).access))),
  };
}

function summaryOf({ proxies, routes, apiKeys }: AccessDocument): AccessSummary {
  return {
    proxies: proxies.map(({ name }) => name),
    routes: routes.map(({ template, action, resource: { type, id }, file, line }) => {
      const from = 'path' in id ? `{${id.path}}` : 'header' in id ? `{header ${id.header}}` : undefined;
      const resource =
        from === undefined && 'value' in id ? formatUid({ type, id: id.value }) : `${type}::${from}`;
      return { route: template.text, action, resource, file, line };
    }),
    apiKeys: apiKeys.map(({ id, subject, expires, revoked = false }) => ({
      id,
      subject: formatUid(subject),
      ...(expires === undefined ? {} : { expires }),
      revoked,
    })),
  };
}

function attempt<T>(read: () => T): T | { error: string } {
  try {
    return read();
  } catch (thrown) {
    return { error: messageOf(thrown) };
  }
}

import { type AccessDocument, parseAccessDocument } from '../access/document.ts';
import type { Sha256 } from '../base/digest.ts';
import { MAX_TRUST_BYTES, type TrustSet, checkTrustPin, parseTrust } from '../bundle/trust.ts';
import { type VerifiedBundle, verifyBundle } from '../bundle/verify.ts';
import type { Manifest } from '../manifest/manifest.ts';
import { takeManifest } from '../manifest/take-manifest.ts';
import { type PolicyDocument, openPolicyDocument } from '../policy/document.ts';
import { type Engine, createEngine } from '../policy/engine.ts';
import { readBundleDirectory } from './bundle-directory.ts';
import { readFileBounded } from './files.ts';
import { releaseMemory } from './kernel/release-memory.ts';

/** Where a release lies and what it must be signed with. */
export type ReleasePlace = {
  /** The directory of the bundle. */
  bundle: string;
  /** The path of trust.yaml. */
  trust: string;
  /** SHA-256 that trust.yaml must have, where one was given from outside the image. */
  pin?: Sha256;
};

/** A release that was read and verified, and whose policy decides: all that answering questions needs. */
export type ServedRelease = {
  trust: TrustSet;
  /** Without the manifest's text, which nobody reads once it is parsed. */
  verified: Omit<VerifiedBundle, 'manifest'>;
  /** The policy without its entities: those are in the engine. */
  policy: Omit<PolicyDocument, 'entities'>;
  engine: Engine;
  access: AccessDocument;
};

/** A release that was read, verified and parsed whole: all that a machine needs of it. */
export type LoadedRelease = ServedRelease & { manifest: Manifest };

/**
 * Reads trust set and bundle, verifies them, parses the manifest and makes the engine, so that a release with an
 * unusable part is refused as a whole. The same steps on a build machine and in the measuring half.
 * @throws BundleError, ManifestError, PolicyError, AccessError, HostError
 */
export async function loadRelease(place: ReleasePlace): Promise<LoadedRelease> {
  const { loaded, text } = await load(place);
  // The manifest takes the most; what came before it need not lie beside.
  await releaseMemory();
  return { ...loaded, manifest: takeManifest(text) };
}

/**
 * The same for the serving half, which has no use for the manifest: it is verified and not parsed. A manifest
 * that can't be used still denies everything, for the measuring half refuses it, and only where both halves
 * hold the same release is a machine trusted. Of 125,000 files it takes 40 MB to parse.
 * @throws BundleError, PolicyError, AccessError, HostError
 */
export async function loadServedRelease(place: ReleasePlace): Promise<ServedRelease> {
  return (await load(place)).loaded;
}

async function load(place: ReleasePlace): Promise<{ loaded: ServedRelease; text: Buffer }> {
  const trust = parseTrust(await readFileBounded(place.trust, MAX_TRUST_BYTES), place.trust);
  if (place.pin !== undefined) checkTrustPin(trust, place.pin, place.trust);
  const { manifest: text, ...verified } = verifyBundle(await readBundleDirectory(place.bundle), trust);
  const { entities, ...policy } = openPolicyDocument(verified.policy);
  const loaded = {
    trust,
    verified,
    policy,
    engine: createEngine({ ...policy, entities }),
    access: parseAccessDocument(policy.access),
  };
  return { loaded, text };
}

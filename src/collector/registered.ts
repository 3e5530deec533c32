import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { type EndorsementRoots, parseEndorsementRoots } from '../attestation/tpm/endorsement.ts';
import type { Sha256 } from '../base/digest.ts';
import { sha256 } from '../base/digest.ts';
import { signersOf } from '../base/dsse.ts';
import { BUNDLE_FILE_LIMITS } from '../bundle/bundle-files.ts';
import { parseStatement } from '../bundle/statement.ts';
import { MAX_TRUST_BYTES, type TrustSet, parseTrust } from '../bundle/trust.ts';
import { decodeEnvelope } from '../bundle/verify.ts';
import { readFileBounded } from '../host/files.ts';
import { hostErrorOf } from '../host/host-error.ts';
import { CollectorError } from './collector-error.ts';

/** What the operator vouches for: without both, no host is ever shown as vouched for by hardware. */
export type Registered = {
  /** Digests of the statements of the releases that may run. */
  releases: ReadonlySet<Sha256>;
  /** Certificates of TPM makers. */
  roots: EndorsementRoots;
};

/** Where the operator keeps it. */
export type RegisteredFiles = {
  /** A directory with the `release.dsse.json` of each release, under any name that ends in `.dsse.json`. */
  releases?: string | undefined;
  /** The trust.yaml of each environment: a release counts only if one of them takes it. */
  trust: readonly string[];
  /** PEM certificates of TPM makers. */
  roots?: string | undefined;
};

export const NOTHING_REGISTERED: Registered = { releases: new Set(), roots: [] };

/** Releases registered at most: years of several a day. */
const MAX_RELEASES = 10_000;
const MAX_ROOTS_BYTES = 4 * 1024 * 1024;

/**
 * Reads what is registered. One file that is no signed release of a trusted environment refuses the whole: a
 * collector that silently knew fewer releases would show sound machines as unproved.
 * @throws CollectorError `settings-invalid`; BundleError, AttestationError, HostError
 */
export async function readRegistered(files: RegisteredFiles): Promise<Registered> {
  const roots =
    files.roots === undefined
      ? []
      : parseEndorsementRoots(
          (await readFileBounded(files.roots, MAX_ROOTS_BYTES)).toString('latin1'),
          files.roots,
        );
  if (files.releases === undefined) return { releases: new Set(), roots };
  const trust: TrustSet[] = [];
  for (const path of files.trust) trust.push(parseTrust(await readFileBounded(path, MAX_TRUST_BYTES), path));
  if (trust.length === 0) {
    throw new CollectorError(
      'settings-invalid',
      'releases are registered, but no trust.yaml to verify them with',
      {
        hint: 'Name the trust.yaml of each environment with --trust.',
      },
    );
  }
  const releases = new Set<Sha256>();
  for (const name of await listReleases(files.releases)) {
    releases.add(await verifyRegistered(join(files.releases, name), trust));
  }
  return { releases, roots };
}

async function listReleases(directory: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (cause) {
    throw hostErrorOf(`reading "${directory}"`, cause);
  }
  const wanted = names.filter((name) => name.endsWith('.dsse.json')).sort();
  if (wanted.length <= MAX_RELEASES) return wanted;
  throw new CollectorError(
    'settings-invalid',
    `"${directory}" holds ${wanted.length} releases; at most ${MAX_RELEASES} are read`,
  );
}

async function verifyRegistered(path: string, trust: readonly TrustSet[]): Promise<Sha256> {
  const envelope = decodeEnvelope(await readFileBounded(path, BUNDLE_FILE_LIMITS['release.dsse.json']));
  const signed = trust.filter(({ keys, threshold }) => signersOf(envelope, keys).length >= threshold);
  // Nothing inside is looked at before the signatures hold.
  const { environment } =
    signed.length === 0 ? { environment: '' } : parseStatement(envelope.payload).predicate;
  if (!signed.some((set) => set.environment === environment)) {
    throw new CollectorError(
      'settings-invalid',
      `"${path}" is not signed as any of the given trust.yaml asks`,
      {
        hint: 'Remove it, or name the trust.yaml of its environment with --trust.',
      },
    );
  }
  return sha256(envelope.payload);
}

import { join } from 'node:path';

import { sha256 } from '../base/digest.ts';
import { signersOf } from '../base/dsse.ts';
import { MAX_PEM_BYTES, loadPrivateKey } from '../base/ed25519.ts';
import type { ReleaseId } from '../base/release-id.ts';
import type { Sha256 } from '../base/digest.ts';
import { BundleError } from '../bundle/bundle-error.ts';
import { signRelease } from '../bundle/produce.ts';
import { parseStatement } from '../bundle/statement.ts';
import { decodeEnvelope, releaseIdOf } from '../bundle/verify.ts';
import { readBundleDirectory } from '../host/bundle-directory.ts';
import { readFileBounded, writeFileAtomic } from '../host/files.ts';
import { ReleaseError } from './release-error.ts';

export type Signed = { release: ReleaseId; signer: Sha256; signatures: number };

/**
 * Adds one Ed25519 signature to the bundle in `directory`. What is signed is the release as it lies there: its
 * two other files must be the ones that the statement names.
 * @throws BundleError, BaseError (the key), HostError, ReleaseError `already-signed`
 */
export async function signBundle(directory: string, keyPath: string): Promise<Signed> {
  const pem = (await readFileBounded(keyPath, MAX_PEM_BYTES, { follow: true })).toString('latin1');
  const key = loadPrivateKey(pem, keyPath);
  const files = await readBundleDirectory(directory);
  const envelope = decodeEnvelope(files['release.dsse.json']);
  const statement = parseStatement(envelope.payload);
  for (const name of ['manifest.mtree', 'policy.json'] as const) {
    if (sha256(files[name]) !== statement.subjects[name]) {
      throw new BundleError(
        'digest-mismatch',
        `${name} in "${directory}" is not the file that the release names`,
        {
          hint: 'Build the bundle again; it was changed after the build.',
        },
      );
    }
  }
  if (signersOf(envelope, [key.publicKey]).length > 0) {
    throw new ReleaseError(
      'already-signed',
      `the bundle "${directory}" bears a signature of this key already`,
      {
        hint: 'A threshold counts distinct keys: sign with another one.',
      },
    );
  }
  const signed = signRelease(files['release.dsse.json'], key);
  await writeFileAtomic(join(directory, 'release.dsse.json'), signed, 0o644);
  return {
    release: releaseIdOf(statement, envelope.payload),
    signer: key.publicKey.id,
    signatures: decodeEnvelope(signed).signatures.length,
  };
}

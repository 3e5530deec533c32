import { MAX_PEM_BYTES, loadPublicKey, publicKeyPem } from '../base/ed25519.ts';
import { type TrustSet, parseTrust } from '../bundle/trust.ts';
import { readFileBounded, writeFileNew } from '../host/files.ts';

export type NewTrust = {
  environment: string;
  threshold: number;
  minimumSequence: number;
  /** Paths of the public keys, SPKI PEM. */
  keys: readonly string[];
};

/**
 * Writes a trust set to `path`, which must not exist, and reads it back the way a machine will.
 * @throws BundleError where a machine would refuse it; BaseError (a key); HostError
 */
export async function writeTrust(path: string, trust: NewTrust): Promise<TrustSet> {
  const pems: string[] = [];
  for (const file of trust.keys) {
    const pem = (await readFileBounded(file, MAX_PEM_BYTES, { follow: true })).toString('latin1');
    pems.push(publicKeyPem(loadPublicKey(pem, file)));
  }
  const text = formatTrust(trust, pems);
  const parsed = parseTrust(Buffer.from(text), path);
  await writeFileNew(path, text, 0o644);
  return parsed;
}

function formatTrust(trust: NewTrust, pems: readonly string[]): string {
  const keys = pems.map((pem) => `  - |\n${pem.trimEnd().replaceAll(/^/gm, '    ')}\n`).join('');
  return (
    '# Whose signatures this image accepts (sealborn).\n' +
    `environment: ${trust.environment}\n` +
    `# Distinct keys that must have signed a release.\nthreshold: ${trust.threshold}\n` +
    `# A release with a lower sequence is refused.\nminimumSequence: ${trust.minimumSequence}\n` +
    `keys:\n${keys}`
  );
}

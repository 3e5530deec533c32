import { rm } from 'node:fs/promises';

import type { Sha256 } from '../base/digest.ts';
import { generateKeyPair, loadPrivateKey } from '../base/ed25519.ts';
import { writeFileNew } from '../host/files.ts';

export type NewKeyPair = { privateKey: string; publicKey: string; id: Sha256 };

/**
 * Makes an Ed25519 pair: `<path>.key` (PKCS#8 PEM, mode 0600) and `<path>.pub` (SPKI PEM, mode 0644). Neither
 * may exist already; where the second can't be written, the first is taken away again.
 * @throws HostError `already-exists` and others
 */
export async function createKeyPair(path: string): Promise<NewKeyPair> {
  const { privatePem, publicPem } = generateKeyPair();
  const privateKey = `${path}.key`;
  const publicKey = `${path}.pub`;
  await writeFileNew(privateKey, privatePem, 0o600);
  try {
    await writeFileNew(publicKey, publicPem, 0o644);
  } catch (cause) {
    await rm(privateKey, { force: true });
    throw cause;
  }
  return { privateKey, publicKey, id: loadPrivateKey(privatePem, privateKey).publicKey.id };
}

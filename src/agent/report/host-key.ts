import { lstat } from 'node:fs/promises';
import { join } from 'node:path';

import { MAX_PEM_BYTES, type PrivateKey, generateKeyPair, loadPrivateKey } from '../../base/ed25519.ts';
import { makeDirectory, readFileBounded, writeFileNew } from '../../host/files.ts';
import { HostError } from '../../host/host-error.ts';
import { AgentError } from '../agent-error.ts';

/**
 * The key that signs this host's reports and is its identity: `host.key` in the state directory, mode 0600,
 * made when there is none. It must never be part of an image: every machine made from it would be one host.
 * @throws AgentError `host-key-invalid` where others may read it; BaseError where it is no key; HostError
 */
export async function loadHostKey(stateDirectory: string): Promise<PrivateKey> {
  const path = join(stateDirectory, 'host.key');
  await makeDirectory(stateDirectory, 0o700);
  try {
    return await readKey(path);
  } catch (thrown) {
    if (!(thrown instanceof HostError && thrown.code === 'not-found')) throw thrown;
  }
  try {
    await writeFileNew(path, generateKeyPair().privatePem, 0o600);
  } catch (thrown) {
    // Another process of this host was quicker: its key is the host's.
    if (!(thrown instanceof HostError && thrown.code === 'already-exists')) throw thrown;
  }
  return readKey(path);
}

async function readKey(path: string): Promise<PrivateKey> {
  const pem = await readFileBounded(path, MAX_PEM_BYTES);
  const { mode } = await lstat(path);
  if ((mode & 0o077) !== 0) {
    throw new AgentError(
      'host-key-invalid',
      `${path} has mode 0${(mode & 0o7777).toString(8)}: others than its owner may use it`,
      { hint: 'Remove it, so that the host gets a new key and with it a new identity.' },
    );
  }
  return loadPrivateKey(pem.toString('latin1'), path);
}

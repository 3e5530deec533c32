import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { type Sha256, isSha256 } from '../base/digest.ts';
import { readFileBounded } from './files.ts';
import { HostError, errnoOf, hostErrorOf } from './host-error.ts';

/** The kernel parameter, and the systemd credential, that pins trust.yaml from outside the image. */
const NAME = 'sealborn.trust';

/**
 * The digest that trust.yaml must have, where one was given from outside the image: `sealborn.trust=sha256:<hex>`
 * on the kernel command line, or a systemd credential of that name holding `sha256:<hex>`. Undefined where
 * neither is given.
 * @throws HostError `answer-malformed` where a pin is given that is no digest, or two that differ: a pin that
 * can't be understood must not be taken for none
 */
export async function readTrustPin(
  environment: NodeJS.ProcessEnv = process.env,
  commandLine = '/proc/cmdline',
): Promise<Sha256 | undefined> {
  const found = [...(await kernelPins(commandLine)), ...(await credentialPins(environment))];
  const pins = new Set(found.map(parsePin));
  if (pins.size > 1) {
    throw new HostError('answer-malformed', `${NAME} is given more than once, with different digests`);
  }
  return [...pins][0];
}

async function kernelPins(path: string): Promise<string[]> {
  try {
    const words = (await readFile(path, 'utf8')).trim().split(/\s+/);
    return words.filter((word) => word.startsWith(`${NAME}=`)).map((word) => word.slice(NAME.length + 1));
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return [];
    throw hostErrorOf(`reading the kernel command line from ${path}`, cause);
  }
}

async function credentialPins({ CREDENTIALS_DIRECTORY: directory }: NodeJS.ProcessEnv): Promise<string[]> {
  if (directory === undefined) return [];
  try {
    return [(await readFileBounded(join(directory, NAME), 256)).toString('utf8').trim()];
  } catch (cause) {
    if (cause instanceof HostError && cause.code === 'not-found') return [];
    throw cause;
  }
}

function parsePin(text: string): Sha256 {
  const digest = text.startsWith('sha256:') ? text.slice('sha256:'.length) : undefined;
  if (isSha256(digest)) return digest;
  throw new HostError(
    'answer-malformed',
    `${NAME} is given, but is not "sha256:" and 64 hexadecimal digits`,
    {
      hint: 'Give the output of "sha256sum trust.yaml" after "sha256:".',
    },
  );
}

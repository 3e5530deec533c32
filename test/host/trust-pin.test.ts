import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { sha256 } from '../../src/base/digest.ts';
import { readTrustPin } from '../../src/host/trust-pin.ts';

const pin = sha256('trust');

async function read(commandLine: string | undefined, credential?: string): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'sealborn-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'cmdline');
  if (commandLine !== undefined) await writeFile(file, commandLine);
  if (credential === undefined) return readTrustPin({}, file);
  await writeFile(join(directory, 'sealborn.trust'), credential);
  return readTrustPin({ CREDENTIALS_DIRECTORY: directory }, file);
}

describe('readTrustPin', () => {
  it('is undefined where no pin is given', async () => {
    expect(await read('BOOT_IMAGE=/vmlinuz root=/dev/vda1 quiet\n')).toBeUndefined();
    expect(await read(undefined)).toBeUndefined();
    expect(await readTrustPin({ CREDENTIALS_DIRECTORY: '/nowhere' }, '/nowhere')).toBeUndefined();
  });

  it('takes the kernel command line, a credential, or both where they agree', async () => {
    expect(await read(`quiet sealborn.trust=sha256:${pin} rw\n`)).toBe(pin);
    expect(await read('quiet\n', `sha256:${pin}\n`)).toBe(pin);
    expect(await read(`sealborn.trust=sha256:${pin}`, `sha256:${pin}`)).toBe(pin);
  });

  it.each([
    ['no digest', 'sealborn.trust=', undefined],
    ['a digest without its algorithm', `sealborn.trust=${pin}`, undefined],
    ['a digest cut short', `sealborn.trust=sha256:${pin.slice(1)}`, undefined],
    ['an empty credential', 'quiet', ''],
    ['two that differ', `sealborn.trust=sha256:${pin}`, `sha256:${sha256('other')}`],
  ])('refuses %s: a pin that is not understood is not taken for none', async (_, line, credential) => {
    await expect(read(line, credential)).rejects.toMatchObject({ code: 'answer-malformed' });
  });
});

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { certifyBy } from '../../support/swtpm.ts';
import { until } from '../../agent/until.ts';
import { spawnMortal } from '../mortal.ts';

/** A software TPM for one emulated machine, and the certificates of its maker. */
export type Chip = { socket: string; roots: string; stop: () => void };

/** Makes a TPM with an endorsement certificate, and starts it for an emulator to connect to. */
export async function startChip(place: string): Promise<Chip> {
  const [state, maker, socket] = [join(place, 'tpm'), join(place, 'maker'), join(place, 'tpm.sock')];
  for (const directory of [state, maker]) mkdirSync(directory);
  certifyBy(maker)(state);
  const roots = join(place, 'makers.pem');
  const names = ['swtpm-localca-rootca-cert.pem', 'issuercert.pem'];
  writeFileSync(roots, names.map((name) => readFileSync(join(maker, name), 'latin1')).join('\n'));
  const flags = ['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--ctrl', `type=unixio,path=${socket}`];
  const child = spawnMortal('swtpm', flags);
  await until('the TPM listens', () => existsSync(socket));
  return { socket, roots, stop: () => void child.kill('SIGKILL') };
}

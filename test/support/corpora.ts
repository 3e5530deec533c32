import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../../../shared/corpora', import.meta.url));

/** Where an external corpus lies, such as `corpus('ed25519/wycheproof.json')`, and whether it is there. */
export function corpus(path: string): { path: string; missing: boolean; why: string } {
  const full = `${FOLDER}/${path}`;
  const missing = !existsSync(full);
  if (missing) process.stderr.write(`skipped: the corpus ../shared/corpora/${path} is not here\n`);
  return { path: full, missing, why: `needs ../shared/corpora/${path}` };
}

import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

import type { ImaState } from '../../attestation/verdict.ts';

/** The list of a machine that measures all it runs is some 100 bytes an entry: this is 160,000 of them. */
const MAX_BYTES = 16 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

export const IMA_LIST = '/sys/kernel/security/ima/binary_runtime_measurements';

/**
 * The digest of the kernel's own list of what was opened and run since boot (IMA), as far as it goes now: the list
 * only ever grows, so what was hashed here are the first `bytes` of it for as long as the machine runs. Undefined
 * where the kernel keeps none, or this process may not read it.
 */
export function readImaList(at: string, path: string = IMA_LIST): ImaState | undefined {
  const state = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let bytes = 0;
  try {
    const file = openSync(path, 'r');
    try {
      for (;;) {
        const count = readSync(file, chunk, 0, Math.min(CHUNK_BYTES, MAX_BYTES - bytes), null);
        state.update(chunk.subarray(0, count));
        bytes += count;
        if (count > 0 && bytes < MAX_BYTES) continue;
        return { at, bytes, digest: state.digest('hex'), whole: bytes < MAX_BYTES };
      }
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

import { join } from 'node:path';

import { type Verdict, verdictShape } from '../../attestation/verdict.ts';
import { messageOf } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { oneOf, readShape, record, text } from '../../base/shape.ts';
import { readFileBounded, writeFileAtomic } from '../../host/files.ts';
import { HostError } from '../../host/host-error.ts';

/**
 * The file that keeps a machine drifted or refused when the process is killed and started again, and that a
 * systemd path unit can watch.
 *
 * It names the boot in which it was written. The contract is "latched until reboot", so one of another boot
 * (a run directory that is no tmpfs) is void. That opens no hole: the boot id is the kernel's, and whoever can
 * write another one into the file could as well remove the file.
 */
export function latchPath(runDirectory: string): string {
  return join(runDirectory, 'drift');
}

/** Bytes of a latch at most: a verdict with the most findings it may carry is well below. */
const MAX_LATCH_BYTES = 4 * 1024 * 1024;

const latchShape = record({
  format: oneOf('sealborn-latch-1'),
  bootId: text({ max: 64 }),
  verdict: verdictShape,
});

export type LatchReading =
  | { kind: 'none' }
  /** A latch that this boot did not write. */
  | { kind: 'other-boot' }
  | { kind: 'latched'; verdict: Verdict };

/**
 * Reads the latch. Whatever stands at its place and is not a latch of another boot counts as latched: what
 * can't be read, or is not a latch at all, gives a `drifted` verdict with reason `latch-unreadable`.
 */
export async function readLatch(runDirectory: string, bootId: string, at: string): Promise<LatchReading> {
  const path = latchPath(runDirectory);
  try {
    const bytes = await readFileBounded(path, MAX_LATCH_BYTES);
    const latch = readShape(latchShape, parseJson(bytes, path, { maxBytes: MAX_LATCH_BYTES }), path);
    if (latch.bootId !== bootId) return { kind: 'other-boot' };
    return { kind: 'latched', verdict: latch.verdict };
  } catch (cause) {
    if (cause instanceof HostError && cause.code === 'not-found') return { kind: 'none' };
    const reason = {
      code: 'latch-unreadable',
      message: `the latch can't be read, so it counts: ${messageOf(cause)}`,
    };
    return {
      kind: 'latched',
      verdict: { state: 'drifted', since: at, drift: [], driftTotal: 0, reason, assurance: 'software' },
    };
  }
}

/**
 * Writes the latch: a reader, or a crash, sees the one before or this one.
 * @throws HostError
 */
export async function writeLatch(runDirectory: string, bootId: string, verdict: Verdict): Promise<void> {
  const latch = { format: 'sealborn-latch-1', bootId, verdict };
  await writeFileAtomic(latchPath(runDirectory), `${JSON.stringify(latch)}\n`, 0o644);
}

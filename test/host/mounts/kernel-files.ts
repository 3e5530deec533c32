import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import type { KernelFiles } from '../../../src/host/mounts/mount-coverage.ts';

/** A kernel as files: which devices are dm-verity, and what it was started with. */
export function kernelFiles(uuids: Record<string, string>, cmdline = ''): KernelFiles {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-kernel-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [device, uuid] of Object.entries(uuids)) {
    mkdirSync(join(directory, 'dev/block', device, 'dm'), { recursive: true });
    writeFileSync(join(directory, 'dev/block', device, 'dm/uuid'), `${uuid}\n`);
  }
  writeFileSync(join(directory, 'cmdline'), `${cmdline}\n`);
  return { sys: directory, cmdline: join(directory, 'cmdline') };
}

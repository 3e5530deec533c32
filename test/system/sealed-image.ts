import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { onTestFinished } from 'vitest';

import type { Sha256 } from '../../src/base/digest.ts';
import type { Finding } from '../../src/base/finding.ts';
import type { MeasureRules } from '../../src/base/measure-rules.ts';
import type { BundleFileName } from '../../src/bundle/bundle-files.ts';
import { type TreeChecker, createTreeChecker } from '../../src/host/measure/check-tree.ts';
import { measureTree } from '../../src/host/measure/measure-tree.ts';
import { formatManifest } from '../../src/manifest/format.ts';
import type { Manifest } from '../../src/manifest/manifest.ts';
import { parseManifest } from '../../src/manifest/parse.ts';
import { rulesWith } from '../support/rules.ts';

export const RULES: MeasureRules = rulesWith({ mutable: ['/var'], absent: ['/etc/ld.so.preload'] });

/** A small image of the shape of a real one. */
const FILES = [
  'etc/passwd',
  'etc/cron.d/backup',
  'etc/pam.d/sshd',
  'etc/profile.d/path.sh',
  'etc/sudoers.d/README',
  'usr/bin/env',
  'usr/bin/python3.13',
  'usr/lib/modules/6.1/kernel/fs/ext4.ko',
  'usr/lib/systemd/system/ssh.service',
  'usr/lib/systemd/system-generators/fstab',
  'usr/share/zoneinfo/UTC',
  'var/log/messages',
];

/** An empty directory that goes away with the test, whatever is in it by then. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-image-'));
  onTestFinished(() => void execFileSync('rm', ['-rf', directory]));
  return directory;
}

/** Writes a small image into a directory, a new one unless told. */
export function makeImage(root: string = temporaryDirectory()): string {
  for (const path of FILES) writeTo(root, path, `content of ${path}\n`);
  symlinkSync('python3.13', join(root, 'usr/bin/python3'));
  symlinkSync('usr/bin', join(root, 'bin'));
  return root;
}

export function writeTo(root: string, path: string, content: string | Uint8Array): void {
  mkdirSync(join(root, dirname(path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

export type Sealed = {
  root: string;
  manifest: Manifest;
  /** A checker that has seen the image in order. */
  checker: TreeChecker;
  /** What a new checker finds, as at boot; fails where the checker that runs finds otherwise in a sweep. */
  findings(): Promise<Finding[]>;
  /** The same as `kind path`. */
  found(): Promise<string[]>;
};

/**
 * Measures the tree at `root`, makes its manifest and checks it once. Checks are made an hour from now, so that
 * files written by a test count as long settled and sweeps go by what they remember.
 */
export async function seal(
  root: string,
  rules: MeasureRules = RULES,
  bundleDigests: ReadonlyMap<BundleFileName, Sha256> = new Map(),
): Promise<Sealed> {
  const { entries } = await measureTree({ root, rules, workers: 2 });
  const manifest = parseManifest(formatManifest(entries));
  const start = (): TreeChecker => {
    const now = (): Date => new Date(Date.now() + 3_600_000);
    const checker = createTreeChecker({ root, manifest, rules, bundleDigests, workers: 2, now });
    onTestFinished(() => checker.close());
    return checker;
  };
  const checker = start();
  const clean = await checker.full();
  if (clean.findingsTotal > 0) throw new Error(`the image is not clean: ${JSON.stringify(clean.findings)}`);
  const findings = async (): Promise<Finding[]> => {
    const atBoot = start();
    const { findings, findingsTotal } = await atBoot.full();
    await atBoot.close();
    const swept = await checker.sweep();
    const words = (list: Finding[]): string => list.map(({ kind, path }) => `${kind} ${path}`).join('\n');
    if (findings.length < 100 && findings.length !== findingsTotal) throw new Error('the total is wrong');
    if (words(findings) !== words(swept.findings)) {
      throw new Error(`a sweep found\n${words(swept.findings)}\nand a full check\n${words(findings)}`);
    }
    return findings;
  };
  return {
    root,
    manifest,
    checker,
    findings,
    found: async () => (await findings()).map(({ kind, path }) => `${kind} ${path}`),
  };
}

/** A small image, sealed. */
export async function sealedImage(): Promise<Sealed> {
  return seal(makeImage());
}

export const IS_ROOT: boolean = process.getuid?.() === 0;
/** What is lacking where this is not root: owners, devices, capabilities. */
export const NO_ROOT: string | undefined = IS_ROOT ? undefined : 'root';

function canMount(): boolean {
  if (!IS_ROOT) return false;
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-mount-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
  if (status === 0) execFileSync('umount', [directory]);
  rmdirSync(directory);
  return status === 0;
}

/** Root in a container may not mount. */
export const CAN_MOUNT: boolean = canMount();
export const NO_MOUNTS: string | undefined = NO_ROOT ?? (CAN_MOUNT ? undefined : 'root that may mount');

// The checker that bench/verify.ts times, in a process of its own so that its memory is what a check takes:
// reads the manifest, then checks in full each time it is told to, and says how long that took.
import { readFileSync } from 'node:fs';

import { createTreeChecker } from '../src/host/check-tree.ts';
import { parseManifest } from '../src/manifest/parse.ts';
import { rulesWith } from '../test/support/rules.ts';

/** What is said back for each message. */
export type CheckTiming = {
  seconds: number;
  sweepSeconds: number;
  findings: number;
  /** The process's largest resident set so far, in bytes. */
  peakBytes: number;
  parseSeconds: number;
};

const [root = '', manifestFile = '', workers = ''] = process.argv.slice(2);
const started = performance.now();
const manifest = parseManifest(readFileSync(manifestFile));
const parseSeconds = (performance.now() - started) / 1000;
const checker = createTreeChecker({
  root,
  manifest,
  rules: rulesWith(),
  bundleDigests: new Map(),
  workers: Number(workers),
  now: () => new Date(),
});

async function check(): Promise<void> {
  const full = await checker.full();
  const sweep = await checker.sweep();
  const timing: CheckTiming = {
    seconds: full.seconds,
    sweepSeconds: sweep.seconds,
    findings: full.findingsTotal + sweep.findingsTotal,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    parseSeconds,
  };
  process.send?.(timing);
}

process.on('message', () => void check());
process.on('disconnect', () => void checker.close());

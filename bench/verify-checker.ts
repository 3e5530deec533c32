// The checker that bench/verify.ts times, in a process of its own so that its memory is what a check takes:
// reads the manifest, then checks in full each time it is told to, and says how long that took.
import { readFileSync } from 'node:fs';

import { createTreeChecker } from '../src/host/measure/check-tree.ts';
import { takeManifest } from '../src/manifest/take-manifest.ts';
import { rulesWith } from '../test/support/rules.ts';

/** What is said back for each message. */
export type CheckTiming = {
  seconds: number;
  sweepSeconds: number;
  /** The first finding: path and kind. */
  first?: string;
  /** From the start of the process to the first finding: Node.js, reading the manifest, the check up to there. */
  firstFindingSeconds?: number;
  /** The process's largest resident set so far, in bytes. */
  peakBytes: number;
  parseSeconds: number;
};

const [root = '', measured = '', manifestFile = '', workers = ''] = process.argv.slice(2);
const started = performance.now();
const manifest = takeManifest(readFileSync(manifestFile));
const parseSeconds = (performance.now() - started) / 1000;
const checker = createTreeChecker({
  root,
  manifest,
  rules: rulesWith({ roots: [measured] }),
  bundleDigests: new Map(),
  workers: Number(workers),
  now: () => new Date(),
});

async function check(): Promise<void> {
  let firstFindingSeconds: number | undefined;
  const full = await checker.full(
    undefined,
    undefined,
    () => (firstFindingSeconds ??= performance.now() / 1000),
  );
  const sweep = await checker.sweep();
  const timing: CheckTiming = {
    seconds: full.seconds,
    sweepSeconds: sweep.seconds,
    ...(full.findings[0] === undefined
      ? {}
      : { first: `${full.findings[0].path}: ${full.findings[0].kind}` }),
    ...(firstFindingSeconds === undefined ? {} : { firstFindingSeconds }),
    peakBytes: process.resourceUsage().maxRSS * 1024,
    parseSeconds,
  };
  process.send?.(timing);
}

process.on('message', () => void check());
process.on('disconnect', () => void checker.close());

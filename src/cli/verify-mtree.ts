import type { CheckResult } from '../host/measure/check-tree.ts';
import type { VerifiedMtree } from '../release/verify-mtree.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { describeFindings } from './findings.ts';
import { progressBar } from './progress-bar.ts';
import { type Terminal, formatBytes, formatCount, formatSeconds, labelled } from './terminal.ts';
import { printJson } from './verb.ts';

/** `sealborn verify --mtree FILE --root DIR`: compares a tree with a manifest of another program. */
export async function verifyByMtree(
  options: { manifest: string; root: string; workers: number | undefined; json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const { verifyMtree } = await import('../release/verify-mtree.ts');
  const bar = progressBar('verifying', terminal);
  let verified: VerifiedMtree;
  try {
    verified = await verifyMtree({
      manifest: options.manifest,
      root: options.root,
      ...(options.workers === undefined ? {} : { workers: options.workers }),
      now: new Date(),
      onProgress: bar.update,
    });
  } finally {
    bar.clear();
  }
  if (options.json) printJson(terminal, asJson(verified));
  else terminal.out(describe(verified, terminal));
  return verified.check.findingsTotal === 0 ? EXIT.good : EXIT.no;
}

function asJson({ manifest, coverage, check }: VerifiedMtree): unknown {
  return {
    result: check.findingsTotal === 0 ? 'agrees' : 'drift',
    signed: false,
    manifest: { path: manifest.path, sha256: manifest.sha256, entries: manifest.entries },
    ...coverage,
    namesTakenLiterally: manifest.patternLike,
    measured: { files: check.files, bytes: check.bytes, seconds: check.seconds },
    drift: check.findings,
    driftTotal: check.findingsTotal,
  };
}

function describe({ manifest, coverage, check }: VerifiedMtree, { outStyle }: Terminal): string {
  const { compared, unchecked, filesWithoutDigest, unlistedDirectories } = coverage;
  const counts = Object.entries(compared).map(([keyword, count]) => `${keyword} (${formatCount(count)})`);
  const rows: [string, string][] = [
    [
      'manifest',
      `${manifest.path}, ${countOf(manifest.entries, 'entry', 'entries')}, sha256 ${manifest.sha256.slice(0, 16)}…`,
    ],
    ['compared', counts.length === 0 ? 'nothing' : counts.join(', ')],
    ...unchecked.map(({ keyword, entries, why }): [string, string] => [
      'not compared',
      `${keyword} of ${countOf(entries, 'entry', 'entries')}: ${why}`,
    ]),
  ];
  if (filesWithoutDigest > 0) {
    const files = countOf(filesWithoutDigest, 'file', 'files');
    rows.push(['not compared', `the content of ${files}: no digest is stated`]);
  }
  if (unlistedDirectories > 0) {
    const directories = countOf(unlistedDirectories, 'directory that is', 'directories that are');
    rows.push(['not compared', `what else lies in ${directories} not listed`]);
  }
  if (manifest.patternLike > 0) {
    const names = countOf(manifest.patternLike, 'name', 'names');
    rows.push([
      'taken as it is',
      `${names} with "*", "?" or "[", which some readers of mtree take for a pattern`,
    ]);
  }
  return (
    labelled(rows, outStyle) +
    `${outStyle.warn('unsigned')}  nobody vouches for this manifest: what follows shows agreement with it, and no more\n` +
    describeCheck(check, outStyle)
  );
}

function describeCheck(check: CheckResult, outStyle: Terminal['outStyle']): string {
  const read = `${countOf(check.files, 'file', 'files')} read, ${formatBytes(check.bytes)} in ${formatSeconds(check.seconds)}`;
  if (check.findingsTotal === 0) return `${outStyle.good('agrees')}    ${read}\n`;
  return (
    `${outStyle.bad('drift')}     ${countOf(check.findingsTotal, 'finding', 'findings')}; ${read}\n` +
    describeFindings(check.findings, check.findingsTotal, outStyle)
  );
}

function countOf(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

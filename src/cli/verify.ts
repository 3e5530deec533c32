import type { Command } from 'commander';

import { type Sha256, parseSha256 } from '../base/digest.ts';
import type { Verified } from '../release/verify-release.ts';
import { EXIT } from './exit-codes.ts';
import { UsageError } from './failure.ts';
import { describeFindings } from './findings.ts';
import { progressBar } from './progress-bar.ts';
import { type Terminal, formatBytes, formatCount, formatSeconds } from './terminal.ts';
import { type CliContext, action, addVerb, printJson, wholeNumber } from './verb.ts';

type VerifyFlags = { json?: true; trust: string; root?: string; pin?: string; workers?: number };

/** `sealborn verify <bundle> --trust FILE [--root DIR]` */
export function addVerifyVerb(program: Command, context: CliContext): void {
  addVerb(program, 'verify', {
    summary: 'verify a bundle and, with --root, every file of an image',
    description:
      'Verifies the signatures, environment and sequence of a bundle against a trust set, that its files are the ' +
      'ones that were signed, and that policy and manifest can be used. With --root, also every file below it: ' +
      'type, mode, owner, size, content, link target, link count, extended attributes, and that nothing is there ' +
      'that the manifest does not list.',
    examples: [
      'sealborn verify out/bundle --trust trust.yaml',
      'sealborn verify /mnt/image/usr/share/sealborn/bundle --trust trust.yaml --root /mnt/image',
    ],
    exits: [
      `${EXIT.good}   the bundle is good and, with --root, so is every file`,
      `${EXIT.no}   drift: the bundle is good, a file is not`,
      `${EXIT.refused}   the bundle or the trust set is refused; no file was looked at`,
    ],
  })
    .argument('<bundle>', 'the directory of the bundle')
    .requiredOption('--trust <file>', 'trust.yaml: whose signatures are accepted')
    .option('--root <dir>', "where the image's tree is mounted; / for this machine")
    .option('--pin <digest>', 'sha256:<hex> that trust.yaml must have')
    .option('--workers <count>', 'hashing threads (default: one a processor, at most 8)', wholeNumber(1, 64))
    .action(
      action<VerifyFlags, [string]>(context, async (options, bundle) => {
        const pin = readPin(options.pin);
        const { verifyRelease } = await import('../release/verify-release.ts');
        const { terminal } = context;
        const bar = progressBar('verifying', terminal);
        let verified: Verified;
        try {
          verified = await verifyRelease({
            place: { bundle, trust: options.trust, ...(pin === undefined ? {} : { pin }) },
            ...(options.root === undefined ? {} : { root: options.root }),
            ...(options.workers === undefined ? {} : { workers: options.workers }),
            now: () => new Date(),
            onProgress: bar.update,
          });
        } finally {
          bar.clear();
        }
        if (options.json === true) printJson(terminal, asJson(verified));
        else terminal.out(describe(verified, terminal));
        return (verified.check?.findingsTotal ?? 0) === 0 ? EXIT.good : EXIT.no;
      }),
    );
}

function readPin(flag: string | undefined): Sha256 | undefined {
  if (flag === undefined) return undefined;
  if (!flag.startsWith('sha256:')) throw new UsageError(`--pin "${flag}" does not start with "sha256:"`);
  return parseSha256(flag.slice('sha256:'.length), '--pin');
}

function asJson({ loaded, check }: Verified): unknown {
  const { release, signers } = loaded.verified;
  const total = check?.findingsTotal ?? 0;
  return {
    result: total === 0 ? 'good' : 'drift',
    release,
    signers,
    measured: check === undefined ? null : { files: check.files, bytes: check.bytes, seconds: check.seconds },
    drift: check?.findings ?? [],
    driftTotal: total,
  };
}

function describe({ loaded, check }: Verified, { outStyle }: Terminal): string {
  const { release, signers } = loaded.verified;
  const signed =
    `${outStyle.good('signed')}  ${release.name} ${release.version} (sequence ${release.sequence}) ` +
    `for ${release.environment}, by ${signers.length} trusted ${signers.length === 1 ? 'key' : 'keys'}\n`;
  if (check === undefined) return signed;
  const measured =
    `${formatCount(check.files)} files, ${formatBytes(check.bytes)} in ${formatSeconds(check.seconds)}` +
    (check.seconds > 0 ? ` (${formatBytes(check.bytes / check.seconds)}/s)` : '');
  if (check.findingsTotal === 0) return `${signed}${outStyle.good('clean')}   ${measured}\n`;
  return (
    `${signed}${outStyle.bad('drift')}   ${formatCount(check.findingsTotal)} findings in ${measured}\n` +
    describeFindings(check.findings, check.findingsTotal, outStyle)
  );
}

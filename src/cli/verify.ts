import type { Command } from 'commander';

import { type Sha256, parseSha256 } from '../base/digest.ts';
import type { Verified } from '../release/verify-release.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { UsageError } from './failure.ts';
import { describeFindings } from './findings.ts';
import { progressBar } from './progress-bar.ts';
import { type Terminal, formatBytes, formatCount, formatSeconds } from './terminal.ts';
import { type CliContext, action, addVerb, printJson, wholeNumber } from './verb.ts';

type VerifyFlags = {
  json?: true;
  trust?: string;
  root?: string;
  pin?: string;
  workers?: number;
  mtree?: string;
};

/** `sealborn verify <bundle> --trust FILE [--root DIR]` and `sealborn verify --mtree FILE --root DIR` */
export function addVerifyVerb(program: Command, context: CliContext): void {
  addVerb(program, 'verify', {
    summary: 'verify a bundle and, with --root, every file of an image',
    description:
      'Verifies the signatures, environment and sequence of a bundle against a trust set, that its files are the ' +
      'ones that were signed, and that policy and manifest can be used. With --root, also every file below it: ' +
      'type, mode, owner, size, content, link target, link count, extended attributes, and that nothing is there ' +
      'that the manifest does not list. With --mtree instead of a bundle, the tree is compared with a manifest that ' +
      "another program wrote: NetBSD's or FreeBSD's mtree, bsdtar, go-mtree. Nobody signed such a manifest, so that " +
      'shows agreement and no more; what it states and can not be compared is named.',
    examples: [
      'sealborn verify out/bundle --trust trust.yaml',
      'sealborn verify /mnt/image/usr/share/sealborn/bundle --trust trust.yaml --root /mnt/image',
      'mtree -c -K sha256 -p /mnt/image > image.mtree; sealborn verify --mtree image.mtree --root /mnt/copy',
    ],
    exits: [
      `${EXIT.good}   the bundle is good and, with --root, so is every file; or the tree agrees with the mtree manifest`,
      `${EXIT.no}   drift: the bundle is good (or the mtree manifest can be read), a file is not`,
      `${EXIT.refused}   the bundle, the trust set or the mtree manifest is refused; no file was looked at`,
    ],
  })
    .argument('[bundle]', 'the directory of the bundle')
    .option('--trust <file>', 'trust.yaml: whose signatures are accepted')
    .option('--root <dir>', "where the image's tree is mounted; / for this machine")
    .option('--mtree <file>', 'compare with this unsigned mtree(5) manifest instead of a bundle')
    .option('--pin <digest>', 'sha256:<hex> that trust.yaml must have')
    .option('--workers <count>', 'hashing threads (default: one a processor, at most 8)', wholeNumber(1, 64))
    .action(
      action<VerifyFlags, [string]>(context, async (options, bundle?: string) => {
        if (options.mtree !== undefined)
          return await verifyMtreeManifest(options.mtree, options, bundle, context);
        if (bundle === undefined) throw new UsageError('no bundle is named', SEE_HELP);
        if (options.trust === undefined)
          throw new UsageError("required option '--trust <file>' not specified", SEE_HELP);
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

const SEE_HELP = 'See "sealborn verify --help".';

async function verifyMtreeManifest(
  manifest: string,
  { root, trust, pin, workers, json }: VerifyFlags,
  bundle: string | undefined,
  { terminal }: CliContext,
): Promise<ExitCode> {
  if (bundle !== undefined || trust !== undefined || pin !== undefined) {
    throw new UsageError('--mtree takes the place of a bundle with its --trust and --pin', SEE_HELP);
  }
  if (root === undefined) throw new UsageError('--mtree needs --root, the tree to compare', SEE_HELP);
  const { verifyByMtree } = await import('./verify-mtree.ts');
  return await verifyByMtree({ manifest, root, workers, json: json === true }, terminal);
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
    measured: check === undefined ? null : measuredJson(loaded, check),
    drift: check?.findings ?? [],
    driftTotal: total,
  };
}

/** `vouched` is there where the release holds fs-verity digests. */
function measuredJson(
  { manifest }: Verified['loaded'],
  { files, bytes, seconds, vouched }: NonNullable<Verified['check']>,
): unknown {
  return { files, bytes, seconds, ...(manifest.fsVerity > 0 ? { vouched } : {}) };
}

function describe({ loaded, check }: Verified, { outStyle }: Terminal): string {
  const { release, signers } = loaded.verified;
  const signed =
    `${outStyle.good('signed')}  ${release.name} ${release.version} (sequence ${release.sequence}) ` +
    `for ${release.environment}, by ${signers.length} trusted ${signers.length === 1 ? 'key' : 'keys'}\n`;
  if (check === undefined) return signed;
  const measured =
    `${formatCount(check.files)} files, ${formatBytes(check.bytes)} in ${formatSeconds(check.seconds)}` +
    (check.seconds > 0 ? ` (${formatBytes(check.bytes / check.seconds)}/s)` : '') +
    (check.vouched > 0 ? `; ${formatCount(check.vouched)} vouched for by fs-verity and not read` : '');
  if (check.findingsTotal === 0) return `${signed}${outStyle.good('clean')}   ${measured}\n`;
  return (
    `${signed}${outStyle.bad('drift')}   ${formatCount(check.findingsTotal)} findings in ${measured}\n` +
    describeFindings(check.findings, check.findingsTotal, outStyle)
  );
}

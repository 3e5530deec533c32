import type { Command } from 'commander';

import type { Built } from '../release/build-release.ts';
import { EXIT } from './exit-codes.ts';
import { countBar, progressBar } from './progress-bar.ts';
import { type Terminal, formatBytes, formatCount, formatSeconds, labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson, wholeNumber } from './verb.ts';

type BuildFlags = {
  json?: true;
  root: string;
  environment: string;
  out: string;
  releaseVersion?: string;
  sequence?: number;
  workers?: number;
};

/** `sealborn build <repository> --root DIR --environment NAME --out DIR` */
export function addBuildVerb(program: Command, context: CliContext): void {
  addVerb(program, 'build', {
    summary: 'compile a policy, measure an image, write a bundle',
    description:
      'Compiles and strictly validates the Cedar policies of a policy repository, runs its tests, measures every ' +
      'file of the image below --root, and writes an unsigned bundle for one environment. The same inputs give ' +
      'the same bytes; set SOURCE_DATE_EPOCH to fix the build time. Nothing is written if anything fails.',
    examples: [
      'sealborn build . --root /mnt/image --environment production --out out/bundle',
      'SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) sealborn build . --root /mnt/image --environment staging --out out/bundle --json',
    ],
    exits: [
      `${EXIT.good}   the bundle was written`,
      `${EXIT.no}   a policy test failed`,
      `${EXIT.refused}   the policy, its data or the image is not acceptable`,
    ],
  })
    .argument('<repository>', 'the folder with sealborn.yaml')
    .requiredOption('--root <dir>', "where the image's tree is mounted")
    .requiredOption('--environment <name>', 'the environment the bundle is for')
    .requiredOption('--out <dir>', 'where to write the bundle')
    .option('--release-version <text>', "the release's version (default: day and short id of the commit)")
    .option(
      '--sequence <number>',
      'a number that only grows from release to release (default: the Unix time of the commit)',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--workers <count>', 'hashing threads (default: one a processor, at most 8)', wholeNumber(1, 64))
    .action(
      action<BuildFlags, [string]>(context, async (options, repository) => {
        const { buildRelease } = await import('../release/build-release.ts');
        const { terminal } = context;
        const testing = countBar('testing', 'questions', terminal);
        const bar = progressBar('measuring', terminal);
        let built: Built;
        try {
          built = await buildRelease({
            repository,
            root: options.root,
            environment: options.environment,
            out: options.out,
            ...(options.releaseVersion === undefined ? {} : { version: options.releaseVersion }),
            ...(options.sequence === undefined ? {} : { sequence: options.sequence }),
            ...(options.workers === undefined ? {} : { workers: options.workers }),
            now: new Date(),
            sourceDateEpoch: process.env['SOURCE_DATE_EPOCH'],
            onTested: testing.update,
            onProgress: (progress) => {
              testing.clear();
              bar.update(progress);
            },
          });
        } finally {
          testing.clear();
          bar.clear();
        }
        warn(built, terminal);
        if (options.json === true) printJson(terminal, built);
        else terminal.out(describe(built, terminal));
        return EXIT.good;
      }),
    );
}

function warn(built: Built, terminal: Terminal): void {
  const warning = terminal.errStyle.warn('warning:');
  if (built.source.dirty) {
    terminal.err(
      `sealborn: ${warning} the policy repository differs from its commit; the release says so (dirty)\n`,
    );
  }
  if (built.untested.length > 0) {
    const shown = built.untested.slice(0, 5).join(', ');
    terminal.err(
      `sealborn: ${warning} no test turns on ${formatCount(built.untested.length)} policies: ${shown}\n`,
    );
  }
}

function describe(built: Built, terminal: Terminal): string {
  const { release, measured, tests } = built;
  return labelled(
    [
      [
        'release',
        `${release.name} ${release.version} (sequence ${release.sequence}) for ${release.environment}`,
      ],
      ['commit', `${release.commit}${built.source.dirty ? ' with uncommitted changes' : ''}`],
      ['policy', `${formatCount(built.policies)} policies, ${formatCount(built.entities)} entities`],
      ['tests', `${formatCount(tests.passed)} of ${formatCount(tests.total)} passed`],
      [
        'measured',
        `${formatCount(measured.files)} files, ${formatBytes(measured.bytes)} in ${formatSeconds(measured.seconds)}`,
      ],
      ['digest', release.digest],
      ['bundle', `${built.out} (unsigned: sign it with "sealborn sign")`],
    ],
    terminal.outStyle,
  );
}

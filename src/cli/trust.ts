import { type Command, InvalidArgumentError } from 'commander';

import { EXIT } from './exit-codes.ts';
import { labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson, wholeNumber } from './verb.ts';

type TrustFlags = {
  json?: true;
  environment: string;
  key: string[];
  threshold: number;
  minimumSequence: number;
};

/** `sealborn trust new` */
export function addTrustVerbs(program: Command, context: CliContext): void {
  const trust = program.command('trust').summary('make trust sets').description('Make trust sets.');
  addVerb(trust, 'new', {
    summary: 'write trust.yaml: whose signatures an image accepts',
    description:
      'Writes a trust set: the environment an image is for, the public keys whose signatures it accepts, and how ' +
      'many of them must have signed. It is baked into the image as /usr/share/sealborn/trust.yaml. Its digest is ' +
      'printed, for a pin from outside the image. An existing file is never overwritten.',
    examples: [
      'sealborn trust new trust.yaml --environment production --key release.pub',
      'sealborn trust new trust.yaml --environment production --key a.pub --key b.pub --key c.pub --threshold 2',
    ],
    exits: [
      `${EXIT.good}   the file was written`,
      `${EXIT.refused}   a key or a number that no machine would accept`,
      `${EXIT.cantCreate}  the file exists already`,
    ],
  })
    .argument('<file>', 'where to write')
    .requiredOption('--environment <name>', 'the one environment whose releases the image runs')
    .requiredOption('--key <file>', 'public key (SPKI PEM); may be given up to 16 times', collect, [])
    .option('--threshold <count>', 'distinct keys that must have signed', wholeNumber(1, 16), 1)
    .option(
      '--minimum-sequence <number>',
      'refuse releases with a lower sequence',
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
      0,
    )
    .action(
      action<TrustFlags, [string]>(context, async (options, file) => {
        const { writeTrust } = await import('../release/write-trust.ts');
        const set = await writeTrust(file, {
          environment: options.environment,
          threshold: options.threshold,
          minimumSequence: options.minimumSequence,
          keys: options.key,
        });
        const { terminal } = context;
        const keys = set.keys.map((key) => key.id);
        if (options.json === true) {
          const { environment, threshold, minimumSequence, digest } = set;
          printJson(terminal, { file, environment, threshold, minimumSequence, keys, digest });
        } else {
          terminal.out(
            labelled(
              [
                ['trust set', file],
                ['environment', set.environment],
                ['signatures', `${set.threshold} of ${keys.length} ${keys.length === 1 ? 'key' : 'keys'}`],
                ...keys.map((id): [string, string] => ['key id', id]),
                ['pin', `sha256:${set.digest}`],
              ],
              terminal.outStyle,
            ),
          );
        }
        return EXIT.good;
      }),
    );
}

function collect(value: string, before: string[]): string[] {
  if (before.length === 16) throw new InvalidArgumentError('A trust set holds at most 16 keys.');
  return [...before, value];
}

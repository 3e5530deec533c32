import type { Command } from 'commander';

import { EXIT } from './exit-codes.ts';
import { type CliContext, GOOD_OR_REFUSED, action, addVerb, printJson } from './verb.ts';

/** `sealborn sign <bundle> --key FILE` */
export function addSignVerb(program: Command, context: CliContext): void {
  addVerb(program, 'sign', {
    summary: 'add a signature to a bundle',
    description:
      'Adds an Ed25519 signature over the release in a bundle (DSSE). Run it once with each key that must sign. ' +
      'The policy and manifest beside it must be the ones that the release names.',
    examples: ['sealborn sign out/bundle --key release.key'],
    exits: GOOD_OR_REFUSED,
  })
    .argument('<bundle>', 'the directory that "sealborn build" wrote')
    .requiredOption('--key <file>', 'private key: PKCS#8 PEM, as "sealborn key new" makes it')
    .action(
      action<{ json?: true; key: string }, [string]>(context, async (options, bundle) => {
        const { signBundle } = await import('../release/sign-bundle.ts');
        const signed = await signBundle(bundle, options.key);
        const { terminal } = context;
        if (options.json === true) printJson(terminal, signed);
        else {
          const { release, signer, signatures } = signed;
          terminal.out(
            `${terminal.outStyle.good('signed')} ${release.name} ${release.version} for ${release.environment} ` +
              `with key ${signer.slice(0, 16)} (${signatures} signature${signatures === 1 ? '' : 's'})\n`,
          );
        }
        return EXIT.good;
      }),
    );
}

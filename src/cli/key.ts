import type { Command } from 'commander';

import { EXIT } from './exit-codes.ts';
import { labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson } from './verb.ts';

/** `sealborn key new` */
export function addKeyVerbs(program: Command, context: CliContext): void {
  const key = program.command('key').summary('make signing keys').description('Make signing keys.');
  addVerb(key, 'new', {
    summary: 'make an Ed25519 key pair for signing releases',
    description:
      'Makes an Ed25519 key pair: <path>.key (PKCS#8 PEM, readable by you alone) signs releases, ' +
      '<path>.pub (SPKI PEM) goes into trust.yaml of every image. Existing files are never overwritten.',
    examples: ['sealborn key new release', 'openssl pkey -pubin -in release.pub -text'],
    exits: [`${EXIT.good}   both files were written`, `${EXIT.cantCreate}  one of them exists already`],
  })
    .argument('<path>', 'where to write, without an ending: "release" makes release.key and release.pub')
    .action(
      action<{ json?: true }, [string]>(context, async (options, path) => {
        const { createKeyPair } = await import('../release/key-pair.ts');
        const made = await createKeyPair(path);
        const { terminal } = context;
        if (options.json === true) printJson(terminal, made);
        else {
          terminal.out(
            labelled(
              [
                ['private key', `${made.privateKey} (keep it out of every image and repository)`],
                ['public key', `${made.publicKey} (goes into trust.yaml)`],
                ['key id', made.id],
              ],
              terminal.outStyle,
            ),
          );
        }
        return EXIT.good;
      }),
    );
}

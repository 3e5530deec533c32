import { Command, CommanderError } from 'commander';

import { VERSION } from '../base/version.ts';
import { addAgentVerbs } from './agent.ts';
import { addApiKeyVerbs } from './apikey.ts';
import { addAskVerb } from './ask.ts';
import { addBuildVerb } from './build.ts';
import { addCollectorVerb } from './collector.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { UsageError, reportFailure } from './failure.ts';
import { addInspectVerb } from './inspect.ts';
import { addKeyVerbs } from './key.ts';
import { addSignVerb } from './sign.ts';
import { addStatusVerb } from './status.ts';
import { type Terminal, processTerminal } from './terminal.ts';
import { addTestVerb } from './test.ts';
import { addTrustVerbs } from './trust.ts';
import type { CliContext } from './verb.ts';
import { addVerifyVerb } from './verify.ts';

const AFTER_HELP = `
Exit codes of every verb:
  0   good                        64  wrong usage
  1   the answer is no            66  an input is not there
  2   refused                     69  the agent or an address can't be reached
  3   no verdict yet              70  a bug in sealborn
                                  73  an output exists already
                                  74  reading or writing failed
                                  77  permission denied

Start here: sealborn key new release; sealborn build --help
`;

/**
 * Runs one command line (without the program's own name) and gives its exit code. Whatever fails is reported
 * on the terminal; nothing is thrown.
 */
export async function runCli(
  argv: readonly string[],
  terminal: Terminal = processTerminal(),
): Promise<ExitCode> {
  const context: CliContext = { terminal, exitCode: EXIT.good };
  const program = new Command('sealborn')
    .description(
      'Makes the access rules and files of a machine image one signed release, and proves on every instance ' +
        'that nothing has changed since.',
    )
    .version(VERSION, '-V, --version')
    .helpCommand('help [verb]', 'explain a verb')
    .addHelpText('after', AFTER_HELP)
    .exitOverride()
    .configureOutput({
      writeOut: terminal.out,
      writeErr: terminal.err,
      outputError: () => {}, // reported below, in our own words
    });
  addKeyVerbs(program, context);
  addTrustVerbs(program, context);
  addApiKeyVerbs(program, context);
  addTestVerb(program, context);
  addBuildVerb(program, context);
  addSignVerb(program, context);
  addInspectVerb(program, context);
  addVerifyVerb(program, context);
  addAgentVerbs(program, context);
  addStatusVerb(program, context);
  addAskVerb(program, context);
  addCollectorVerb(program, context);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return context.exitCode;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) return reportFailure(thrown, terminal, false);
    if (thrown.exitCode === 0) return EXIT.good; // --help, --version
    if (thrown.code === 'commander.help') return EXIT.usage; // no verb: the help was printed
    const message = thrown.message.replace(/^error: /, '');
    const usage = new UsageError(message, `See "${verbNamed(program, argv)} --help".`);
    return reportFailure(usage, terminal, argv.includes('--json'));
  }
}

/** The words of the verb that the command line names, as far as there is one: `sealborn key new`. */
function verbNamed(program: Command, argv: readonly string[]): string {
  const words = [program.name()];
  let command: Command | undefined = program;
  for (const word of argv) {
    command = command.commands.find((sub) => sub.name() === word);
    if (command === undefined) break;
    words.push(word);
  }
  return words.join(' ');
}

import { Command, CommanderError } from 'commander';

import { VERSION } from '../base/version.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { UsageError, reportFailure } from './failure.ts';
import { type Terminal, processTerminal } from './terminal.ts';
import type { CliContext } from './verb.ts';

/** One executable: its name, what its help says, and its verbs. */
export type CliProgram = {
  name: string;
  description: string;
  /** Command lines with which a newcomer begins. */
  start: string;
  configure: (program: Command, context: CliContext) => void;
};

const EXIT_CODES = `
Exit codes of every verb:
  0   good                        64  wrong usage
  1   the answer is no            66  an input is not there
  2   refused                     69  the agent or an address can't be reached
  3   no verdict yet              70  a bug in sealborn
                                  73  an output exists already
                                  74  reading or writing failed
                                  77  permission denied
`;

/** The whole command line of a program as commander holds it: what parses, and what help and manual say. */
export function createCommand(cli: CliProgram, context: CliContext): Command {
  const { terminal } = context;
  const command = new Command(cli.name)
    .description(cli.description)
    .version(VERSION, '-V, --version')
    .exitOverride()
    .configureOutput({
      writeOut: terminal.out,
      writeErr: terminal.err,
      outputError: () => {}, // reported below, in our own words
    });
  cli.configure(command, context);
  if (command.commands.length > 0) command.helpCommand('help [verb]', 'explain a verb');
  return command.addHelpText('after', `${EXIT_CODES}\nStart here: ${cli.start}\n`);
}

/**
 * Runs one command line (without the program's own name) and gives its exit code. Whatever fails is reported
 * on the terminal; nothing is thrown.
 */
export async function runCli(
  cli: CliProgram,
  argv: readonly string[],
  terminal: Terminal = processTerminal(),
): Promise<ExitCode> {
  const context: CliContext = { terminal, exitCode: EXIT.good };
  const program = createCommand(cli, context);
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

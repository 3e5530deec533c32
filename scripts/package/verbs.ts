import type { Command } from 'commander';

import { type CliProgram, createCommand } from '../../src/cli/program.ts';
import { processTerminal } from '../../src/cli/terminal.ts';

/** One flag of a verb. */
export type Flag = { flags: string; long: string; takesValue: boolean; takesPath: boolean; words: string };

/** A program or a verb of it, as its help says. */
export type Verb = {
  /** `['sealborn', 'log', 'verify']`. */
  path: readonly string[];
  usage: string;
  summary: string;
  description: string;
  arguments: readonly { name: string; words: string }[];
  flags: readonly Flag[];
  /** What stands below the flags: `Examples:`, `Exit codes:`, each followed by indented lines. */
  after: string;
  verbs: readonly Verb[];
};

/** Reads a program's verbs from the command line itself, so that manual, completions and help can't part. */
export function verbsOf(cli: CliProgram): Verb {
  let printed = '';
  const terminal = { ...processTerminal(), out: (text: string) => void (printed += text) };
  const read = (command: Command, parents: readonly string[]): Verb => {
    const path = [...parents, command.name()];
    printed = '';
    command.outputHelp();
    const after = printed.slice(command.helpInformation().length).trim();
    return {
      path,
      usage: `${path.join(' ')} ${command.usage()}`,
      summary: command.summary() === '' ? command.description() : command.summary(),
      description: command.description(),
      arguments: command.registeredArguments.map((one) => ({ name: one.name(), words: one.description })),
      flags: [
        ...command.options.map((option) => ({
          flags: option.flags,
          long: option.long ?? option.flags,
          takesValue: option.required || option.optional,
          takesPath: /<(?:file|dir|path|bundle|socket)(?:\.\.\.)?>/.test(option.flags),
          words: `${option.description}${option.defaultValue === undefined ? '' : ` (default: ${String(option.defaultValue)})`}`,
        })),
        {
          flags: '-h, --help',
          long: '--help',
          takesValue: false,
          takesPath: false,
          words: 'say this and nothing else',
        },
      ],
      after,
      verbs: command.commands.map((sub) => read(sub, path)),
    };
  };
  return read(createCommand(cli, { terminal, exitCode: 0 }), []);
}

/** A verb and all below it. */
export function allVerbs(verb: Verb): Verb[] {
  return [verb, ...verb.verbs.flatMap(allVerbs)];
}

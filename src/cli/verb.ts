import type { Command } from 'commander';

import { InvalidArgumentError } from 'commander';

import { EXIT, type ExitCode } from './exit-codes.ts';
import { reportFailure } from './failure.ts';
import type { Terminal } from './terminal.ts';

/** What every verb is handed: where to print, and where to leave the exit code. */
export type CliContext = { terminal: Terminal; exitCode: ExitCode };

/** The text around a verb's flags. */
export type VerbText = {
  summary: string;
  /** What it does and promises, in a few sentences. */
  description: string;
  /** Command lines a newcomer can copy. */
  examples: readonly string[];
  /** `0  the bundle is good`, one line a code. */
  exits: readonly string[];
};

/** Adds a verb with its help; every verb has `--json`. */
export function addVerb(parent: Command, name: string, words: VerbText): Command {
  return describeVerb(parent.command(name), words);
}

/** Gives a command the text and the flag that every verb has. */
export function describeVerb(command: Command, words: VerbText): Command {
  return command
    .summary(words.summary)
    .description(words.description)
    .option('--json', 'print one JSON object for a program')
    .addHelpText(
      'after',
      `\nExamples:\n${words.examples.map((line) => `  ${line}\n`).join('')}` +
        `\nExit codes:\n${words.exits.map((line) => `  ${line}\n`).join('')}  64 and up: see "sealborn --help"\n`,
    );
}

/**
 * Wraps a verb's work: what it returns is the exit code, what it throws is reported as a failure.
 */
export function action<Options extends { json?: true }, Arguments extends readonly (string | string[])[]>(
  context: CliContext,
  work: (options: Options, ...args: Arguments) => Promise<ExitCode>,
): (...received: unknown[]) => Promise<void> {
  return async (...received) => {
    // Commander hands over the arguments, then the options, then the command.
    const args = received.slice(0, -2) as unknown as Arguments;
    const options = received.at(-2) as Options;
    try {
      context.exitCode = await work(options, ...args);
    } catch (thrown) {
      context.exitCode = reportFailure(thrown, context.terminal, options.json === true);
    }
  };
}

/** Prints one JSON object and a newline. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${JSON.stringify(value, null, 2)}\n`);
}

/** Reads a flag's value as a whole number. */
export function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (!/^\d+$/.test(value) || parsed < min || parsed > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return parsed;
  };
}

export const GOOD_OR_REFUSED: readonly string[] = [
  `${EXIT.good}   done`,
  `${EXIT.refused}   refused; the message says why`,
];

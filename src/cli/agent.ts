import { isSea } from 'node:sea';

import type { Command } from 'commander';

import { V8_FLAGS } from '../host/v8-flags.ts';
import { EXIT } from './exit-codes.ts';
import { untilStopped } from './signals.ts';
import { type CliContext, action, addVerb } from './verb.ts';

/** Where the agent's settings lie on an instance. */
const DEFAULT_SETTINGS = '/etc/sealborn/agent.yaml';

const EXITS: readonly string[] = [
  `${EXIT.good}   stopped by a signal`,
  `${EXIT.refused}   the settings or the environment are not acceptable`,
  `${EXIT.unavailable}  an address or a socket is in use, or a half ended by itself`,
];

type AgentFlags = { json?: true; config: string };

/** `sealborn run`, `sealborn measure`, `sealborn serve` */
export function addAgentVerbs(program: Command, context: CliContext): void {
  addAgentVerb(program, context, 'run', {
    summary: 'run the agent: both halves, as two processes',
    description:
      'Starts the measuring and the serving half and stops both when one ends: for a container, a laptop or a ' +
      'demo. On an instance, systemd starts the halves (sealborn-measure.service, sealborn.service).',
    work: async (config) => {
      const { superviseHalves } = await import('../agent/supervise.ts');
      const { createLog } = await import('../host/log/log.ts');
      const stop = new AbortController();
      void untilStopped().then(() => stop.abort());
      await superviseHalves({
        settingsFile: config,
        // As one executable, there is no script between the program and its verb.
        // The executable has its flags inside.
        entry: isSea() ? [] : [...V8_FLAGS, ...process.argv.slice(1, 2)],
        environment: process.env,
        log: createLog('sealborn-run'),
        stop: stop.signal,
      });
    },
  });
  addAgentVerb(program, context, 'measure', {
    summary: 'run the measuring half: verify, measure, own the verdict',
    description:
      'Verifies the bundle and every file, then sweeps for drift. It says its verdict on verdict.sock and has ' +
      'no network. Whatever it finds, it goes on running: what is found is the verdict, not an exit code.',
    work: async (config) => {
      const { runMeasurer } = await import('../agent/run-half.ts');
      await runMeasurer(config);
    },
  });
  addAgentVerb(program, context, 'serve', {
    summary: 'run the serving half: decisions, health, status, reports',
    description:
      'Answers authorization questions on decide.sock, health and metrics on TCP, and reports to the collector. ' +
      'It trusts the machine only while the measuring half says so.',
    work: async (config) => {
      const { runServer } = await import('../agent/run-half.ts');
      await runServer(config);
    },
  });
}

function addAgentVerb(
  program: Command,
  context: CliContext,
  name: string,
  words: { summary: string; description: string; work: (config: string) => Promise<void> },
): void {
  addVerb(program, name, {
    summary: words.summary,
    description: `${words.description} Log lines are JSON, on stdout.`,
    examples: [`sealborn ${name}`, `sealborn ${name} --config agent.yaml`],
    exits: EXITS,
  })
    .option('--config <file>', "the agent's settings", DEFAULT_SETTINGS)
    .action(
      action<AgentFlags, []>(context, async (options) => {
        await words.work(options.config);
        return EXIT.good;
      }),
    );
}

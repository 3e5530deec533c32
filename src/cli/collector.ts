import type { Command } from 'commander';

import { parseTcpAddress } from '../host/net/tcp-address.ts';
import { EXIT } from './exit-codes.ts';
import { untilStopped } from './signals.ts';
import { type CliContext, type VerbText, action, addVerb, printJson, wholeNumber } from './verb.ts';

type CollectorFlags = {
  json?: true;
  listen: string;
  database: string;
  interval: number;
  releases?: string;
  trust?: string[];
  tpmRoots?: string;
};

/** @param called how a person calls the collector: `sealborn collector`, or the program of its own */
export const collectorWords = (called: string): VerbText => ({
  summary: 'receive reports of a fleet and show them on a page',
  description:
    'Receives the signed reports of agents, verifies the signature and sequence of each, keeps them in one ' +
    'SQLite file, and serves a page with every host: release, state, last seen, drift. It speaks plain HTTP: ' +
    'put it behind a proxy that ends TLS and decides who may read. With --releases, --trust and --tpm-roots, ' +
    'hosts whose TPM vouches for their reports are shown as such. Runs until SIGTERM or Ctrl-C.',
  examples: [
    `${called} --database /var/lib/sealborn-collector/fleet.db`,
    `${called} --listen 0.0.0.0:9190 --database fleet.db --interval 30`,
    `${called} --database fleet.db --releases releases/ --trust trust.yaml --tpm-roots makers.pem`,
  ],
  exits: [
    `${EXIT.good}   stopped by a signal`,
    `${EXIT.refused}   the database is not one of a collector, or another one has it open`,
    `${EXIT.unavailable}  the address is in use`,
  ],
});

/** `sealborn collector` */
export function addCollectorVerb(program: Command, context: CliContext): void {
  configureCollector(addVerb(program, 'collector', collectorWords('sealborn collector')), context);
}

/** Flags and work of the collector, as a verb or as a program of its own. */
export function configureCollector(command: Command, context: CliContext): void {
  command
    .requiredOption('--database <file>', 'the SQLite file; made where there is none')
    .option('--listen <address>', 'host and port', '127.0.0.1:9190')
    .option('--releases <dir>', 'the release.dsse.json of each release that may run, as *.dsse.json')
    .option('--trust <file...>', 'the trust.yaml of each environment, to verify those releases with')
    .option('--tpm-roots <file>', 'PEM certificates of the TPM makers that you trust')
    .option('--interval <seconds>', 'how often hosts report when nothing changes', wholeNumber(1, 86_400), 60)
    .action(
      action<CollectorFlags, []>(context, async (options) => {
        const listen = parseTcpAddress(options.listen);
        const { startCollector } = await import('../collector/serve.ts');
        const { createLog } = await import('../host/log/log.ts');
        const collector = await startCollector({
          listen,
          database: options.database,
          settings: { intervalSeconds: options.interval },
          registered: { releases: options.releases, trust: options.trust ?? [], roots: options.tpmRoots },
          log: createLog('collector', 2),
        });
        if (options.json === true) printJson(context.terminal, { url: collector.url });
        else context.terminal.out(`The fleet's page: ${collector.url}/\n`);
        await untilStopped();
        await collector.close();
        return EXIT.good;
      }),
    );
}

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { createAdaptorServer } from '@hono/node-server';

import { messageOf } from '../base/errors.ts';
import { createApp } from './app.ts';
import { type Log, createLog } from '../host/log/log.ts';
import { formatTcpAddress } from '../host/net/tcp-address.ts';
import { listenTcp } from '../host/net/unix-listen.ts';
import { openStore } from './open-store.ts';
import { NOTHING_REGISTERED, type RegisteredFiles, readRegistered } from './registered.ts';
import { type CollectorSettings, FORGET_SECONDS, completeSettings } from './settings.ts';
import type { Store } from './store.ts';

export type CollectorOptions = {
  /** Port 0 takes a free one; `url` of what comes back says which. */
  listen: { host: string; port: number };
  /** The SQLite file; made where there is none. Its directory must exist. */
  database: string;
  settings?: Partial<CollectorSettings>;
  /** Releases and makers of TPMs that the operator vouches for; none unless given. */
  registered?: RegisteredFiles;
  /** Standard error, one JSON line an event, unless given. */
  log?: Log;
  now?: () => Date;
};

export type Collector = {
  /** Where it listens, such as `http://127.0.0.1:9190`. */
  url: string;
  /** Answers what was begun (at most five seconds), then closes the database. */
  close: () => Promise<void>;
};

/**
 * How long a peer may take. A report is at most 1 MiB: 30 s for it is 35 KB/s, slower than any link that a
 * machine is run on.
 */
const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 75_000 };
const MAX_HEADER_BYTES = 16_384;
/** Connections at one time; beyond it new ones are closed at once. */
const MAX_CONNECTIONS = 1024;
const CLOSE_MILLISECONDS = 5_000;
const FORGET_EVERY_MILLISECONDS = 3_600_000;

/**
 * Starts a collector: opens its database, listens, and serves until `close`.
 * @throws CollectorError `settings-invalid` and what `openStore` throws; HostError `address-in-use` and others; then
 * nothing is left running
 */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { listen, database, log = createLog('collector', 2), now = () => new Date() } = options;
  const settings = completeSettings(options.settings ?? {});
  const registered =
    options.registered === undefined ? NOTHING_REGISTERED : await readRegistered(options.registered);
  const store = await openStore(database);
  const makeNonce = (): string => randomBytes(16).toString('hex');
  const app = createApp({ store, settings, registered, log, now, makeNonce, randomBytes });
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    serverOptions: { ...TIMEOUTS, maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval: 1000 },
  }) as Server;
  server.maxConnections = MAX_CONNECTIONS;
  // Also a peer that reads its answer too slowly.
  server.setTimeout(TIMEOUTS.requestTimeout * 3);
  try {
    await listenTcp(server, listen);
  } catch (cause) {
    store.close();
    throw cause;
  }
  // One failed accept (no descriptor left, say) is no reason for a server that runs to stop.
  server.on('error', (cause) => log.error({ code: 'server-failed' }, cause.message));
  const forgetting = setInterval(() => forget(store, log, now), FORGET_EVERY_MILLISECONDS);
  forgetting.unref();
  forget(store, log, now);
  const { address, port } = server.address() as AddressInfo;
  const url = `http://${formatTcpAddress({ host: address, port })}`;
  log.info({ code: 'collector-started', database }, `the collector listens on ${url}`);
  return {
    url,
    close: async () => {
      clearInterval(forgetting);
      await closeServer(server);
      store.close();
      log.info({ code: 'collector-stopped' }, 'the collector is closed');
    },
  };
}

function forget(store: Store, log: Log, now: () => Date): void {
  try {
    const removed = store.forget(now().getTime() - FORGET_SECONDS * 1000);
    if (removed > 0)
      log.info({ code: 'hosts-removed' }, `${removed} hosts not heard for 30 days are removed`);
  } catch (thrown) {
    log.error({ code: 'database-failed' }, `removing old hosts failed: ${messageOf(thrown)}`);
  }
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const until = performance.now() + CLOSE_MILLISECONDS;
  // A connection becomes idle when its answer is sent, and would then be kept for its client's next request.
  const closing = setInterval(() => {
    if (performance.now() < until) server.closeIdleConnections();
    else server.closeAllConnections();
  }, 50);
  await closed;
  clearInterval(closing);
}

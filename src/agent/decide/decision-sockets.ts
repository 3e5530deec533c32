import { join } from 'node:path';

import type { DecisionLogStatus } from '../../attestation/status.ts';
import type { Verdict } from '../../attestation/verdict.ts';
import { messageOf } from '../../base/errors.ts';
import { serveHttp } from '../../host/net/http-server.ts';
import { serveLines } from '../../host/net/line-server.ts';
import type { Log } from '../../host/log/log.ts';
import { shareWithGroup } from '../../host/share-with-group.ts';
import type { TcpAddress } from '../../host/net/tcp-address.ts';
import type { UnixPlace } from '../../host/net/unix-listen.ts';
import { AUTHZ_PREFIX, createAuthzApp } from './authz-app.ts';
import { MAX_BODY_BYTES, createDecideApp } from './decide-app.ts';
import { MAX_LINE_BYTES, createLineAnswerer, errorLine } from './decide-lines.ts';
import type { Decider } from './decider.ts';
import { HEADERS_TIMEOUT_MS, tellOfError } from '../listening.ts';
import type { Metrics } from '../metrics.ts';
import type { OpenGate } from './open-gate.ts';
import { errorAnswer } from '../router.ts';

/** The sockets on which the machine's programs and proxies ask. */
export type DecisionSockets = {
  /** HTTP: decisions, proxies' questions and status. */
  decideSocket: string;
  /** Lines of JSON: decisions. */
  linesSocket: string;
  /** TCP: proxies' questions alone, where it is wanted. */
  authzPort: number | undefined;
  close: () => Promise<void>;
};

export type DecisionSocketsOptions = {
  runDirectory: string;
  /** The sockets that systemd made and listens on, by their names: `decide.sock`, `decide.ndjson.sock`. */
  activated: ReadonlyMap<string, number>;
  /** Where proxies that can't reach Unix sockets ask. */
  authzListen: TcpAddress | undefined;
  open: OpenGate | undefined;
  now: () => Date;
  decider: Decider;
  verdict: () => Verdict;
  decisionLog: () => DecisionLogStatus;
  metrics: Metrics;
  log: Log;
};

/** Clients of a socket at one time; of HTTP, each with at most one request being read. */
const MAX_CLIENTS = 512;
/** What a client may take to finish a line, or to read its answers: as for a request of HTTP. */
const PATIENCE_MS: number = 2 * HEADERS_TIMEOUT_MS;
/** How long a connection for lines is kept for its client's next one. */
const IDLE_MS = 300_000;
/** Owner and group may ask, nobody else. */
const MODE = 0o660;
/** Who may ask besides root and the agent's own user: contracts.md "Decision socket". */
const CLIENTS_GROUP = 'sealborn-clients';

/**
 * Opens decide.sock and decide.ndjson.sock, and the proxies' TCP listener where one is wanted.
 * @throws HostError where one can't be had; then none is left open
 */
export async function openDecisionSockets(options: DecisionSocketsOptions): Promise<DecisionSockets> {
  const { runDirectory, activated, decider, metrics, log } = options;
  const onError = (thrown: unknown): void => tellOfError(thrown, log);
  const place = (name: string): UnixPlace => ({
    path: join(runDirectory, name),
    mode: MODE,
    fd: activated.get(name),
  });
  const [decide, ndjson] = [place('decide.sock'), place('decide.ndjson.sock')];
  await using opening = new AsyncDisposableStack();
  const [decideApp, authzApp] = [createDecideApp(options), createAuthzApp(options)];
  const bounds = {
    maxBodyBytes: MAX_BODY_BYTES,
    maxConnections: MAX_CLIENTS,
    headersTimeoutMs: HEADERS_TIMEOUT_MS,
    onError,
  };
  const http = await serveHttp({
    listen: decide,
    handle: (request) => (request.target.startsWith(AUTHZ_PREFIX) ? authzApp : decideApp)(request),
    ...bounds,
  });
  opening.defer(() => http.close());
  const lines = await serveLines({
    listen: ndjson,
    answer: createLineAnswerer({ decider, metrics, onError }),
    refuse: (code, message) => errorLine(null, code, message),
    maxLineBytes: MAX_LINE_BYTES,
    maxConnections: MAX_CLIENTS,
    patienceMs: PATIENCE_MS,
    idleMs: IDLE_MS,
    onError,
  });
  opening.defer(() => lines.close());
  const authz =
    options.authzListen &&
    (await serveHttp({
      listen: options.authzListen,
      handle: (request) =>
        request.target.startsWith(AUTHZ_PREFIX)
          ? authzApp(request)
          : errorAnswer(404, `only proxies ask here, at ${AUTHZ_PREFIX}<name>`),
      ...bounds,
    }));
  if (authz !== undefined) opening.defer(() => authz.close());
  for (const { path, fd } of [decide, ndjson]) if (fd === undefined) await shareWithClients(path, log);
  const open = opening.move();
  return {
    decideSocket: decide.path,
    linesSocket: ndjson.path,
    authzPort: authz?.port,
    close: () => open.disposeAsync(),
  };
}

/** Opens a socket to the group of the clients, where the machine has it and this process may. */
async function shareWithClients(socket: string, log: Log): Promise<void> {
  try {
    await shareWithGroup(socket, CLIENTS_GROUP);
  } catch (thrown) {
    log.warn({ code: 'clients-group' }, `only the agent's own group may ask: ${messageOf(thrown)}`);
  }
}

import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { Socket } from 'node:net';

import type { Peer } from '../../access/peer.ts';
import { createByteCollector } from './byte-collector.ts';
import { clientNameOf, peerOf } from '../kernel/peer-credentials.ts';
import { type UnixPlace, listenTcp, listenUnix } from './unix-listen.ts';
import type { TcpAddress } from './tcp-address.ts';
import { atTurnEnd, openTurn } from './turn-end.ts';

/** A request, whole and bounded, as a handler sees it. */
export type PlainRequest = {
  method: string;
  /** The request's target, as sent. */
  target: string;
  /** The path without its query, as sent; never decoded. */
  path: string;
  /** Lower-case names; of a header sent twice, what node:http makes of it. */
  headers: Readonly<Record<string, string | undefined>>;
  /** Names and values in turn, as sent, each header that stands twice twice. */
  rawHeaders: readonly string[];
  body: Buffer;
  /** The process that asks, over a Unix socket. */
  peer: () => Peer | undefined;
  /** Who asks, as a log names them (peer-credentials.ts). */
  client: () => string;
};

export type PlainResponse = {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: string | Buffer;
};

export type HttpServerOptions = {
  listen: UnixPlace | TcpAddress;
  /** Must not throw; if it does, the client gets a 500 without a word of why. */
  handle: (request: PlainRequest) => PlainResponse | Promise<PlainResponse>;
  /** A larger body is answered 413 and the connection closed. */
  maxBodyBytes: number;
  maxConnections: number;
  /** What a client may take to send its headers; a whole request may take twice that. */
  headersTimeoutMs: number;
  /** Told of a handler that threw. */
  onError: (thrown: unknown) => void;
};

export type HttpServer = {
  /** The port that was taken, for a TCP server. */
  port: number | undefined;
  close: () => Promise<void>;
};

/** Bytes of request line and headers at most; node:http answers 431 beyond. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Header lines at most; 431 beyond. A client and two proxies before it send some 50. */
const MAX_HEADERS = 100;
/** How long an idle connection is kept for its client's next request. */
const KEEP_ALIVE_MS = 30_000;

/**
 * Serves HTTP/1.1 with a handler that maps a whole request to a whole answer. Headers, body, time and
 * connections are bounded; a client that sends or reads too slowly is cut off.
 * @throws HostError where it can't listen
 */
export async function serveHttp(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.headersTimeoutMs * 2,
    connectionsCheckingInterval: Math.max(50, Math.min(1000, options.headersTimeoutMs / 4)),
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  // Node would drop the lines beyond its own limit without a word, a second Authorization among them, say.
  server.maxHeadersCount = 0;
  server.maxConnections = options.maxConnections;
  // Silence in the middle of a request or an answer; a client that does not read its answer ends here.
  server.setTimeout(options.headersTimeoutMs * 2, (socket) => socket.destroy());
  server.on('request', (request, response) => receive(request, response, options));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(error, socket as Socket));
  if ('path' in options.listen) await listenUnix(server, options.listen);
  else await listenTcp(server, options.listen);
  // A server that runs has no use for an error of one accept (out of descriptors, say) but to go on.
  server.on('error', options.onError);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : undefined,
    close: () => close(server),
  };
}

function receive(request: IncomingMessage, response: ServerResponse, options: HttpServerOptions): void {
  const body = createByteCollector(options.maxBodyBytes);
  const tooLarge = (): void => {
    request.removeAllListeners('data');
    request.resume();
    send(request, response, plain(413, `the body is larger than ${options.maxBodyBytes} bytes`), true);
  };
  if (request.rawHeaders.length > MAX_HEADERS * 2) {
    request.resume();
    send(request, response, plain(431, `more than ${MAX_HEADERS} header lines`), true);
    return;
  }
  if (Number(request.headers['content-length'] ?? 0) > options.maxBodyBytes) {
    tooLarge();
    return;
  }
  request.on('data', (piece: Buffer) => {
    if (!body.add(piece)) tooLarge();
  });
  request.on('end', () => {
    if (response.headersSent) return;
    openTurn();
    const made = answer(request, body.take(), options);
    if (!(made instanceof Promise)) atTurnEnd(() => send(request, response, made, false));
    else void made.then((late) => send(request, response, late, false));
  });
  request.on('error', () => response.destroy());
}

function answer(
  request: IncomingMessage,
  body: Buffer,
  options: HttpServerOptions,
): PlainResponse | Promise<PlainResponse> {
  const failed = (thrown: unknown): PlainResponse => {
    options.onError(thrown);
    return plain(500, 'internal error');
  };
  try {
    const target = request.url ?? '';
    const made = options.handle({
      method: request.method ?? '',
      target,
      path: pathOf(target),
      headers: request.headers as Record<string, string | undefined>,
      rawHeaders: request.rawHeaders,
      body,
      peer: () => peerOf(request.socket),
      client: () => clientNameOf(request.socket),
    });
    return made instanceof Promise ? made.catch(failed) : made;
  } catch (thrown) {
    return failed(thrown);
  }
}

let lastTarget = '';
let lastPath = '';

/** The path of a target: for the same target as before the same string, which V8 need not look up anew. */
function pathOf(target: string): string {
  if (target !== lastTarget) {
    const query = target.indexOf('?');
    lastTarget = target;
    lastPath = query < 0 ? target : target.slice(0, query);
  }
  return lastPath;
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: PlainResponse,
  closing: boolean,
): void {
  // Names and values in turn: node:http takes such a list as it is.
  const head = ['content-length', String(Buffer.byteLength(body))];
  for (const name in headers) head.push(name, headers[name] ?? '');
  if (closing) head.push('connection', 'close');
  response.writeHead(status, head);
  response.end(request.method === 'HEAD' ? undefined : body);
}

function plain(status: number, words: string): PlainResponse {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: `${words}\n` };
}

function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  // The client may never close its side.
  socket.destroySoon();
}

async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}

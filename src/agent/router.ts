import type { PlainRequest, PlainResponse } from '../host/net/http-server.ts';

/** What answers one method at one path. */
export type Handler = (request: PlainRequest) => PlainResponse;

/** Handlers by exact path, then by method. HEAD is answered as GET. */
export type Routes = Readonly<Record<string, Readonly<Partial<Record<'GET' | 'POST', Handler>>>>>;

/** What an X-Request-ID that is echoed may be; AuthZEN 1.0 calls it an arbitrary string, logs need a bound. */
const REQUEST_ID = /^[\x20-\x7e]{1,256}$/;

/** Whether a request's id is short and plain: 1 to 256 printable characters of ASCII. */
export function isRequestId(text: string): boolean {
  return REQUEST_ID.test(text);
}

/**
 * One handler for a set of routes: 404 for an unknown path, 405 with `Allow` for a known one, and on every
 * answer the headers that keep it from being cached, sniffed, or lost from its request (X-Request-ID is
 * echoed where it is short and plain).
 */
export function createRouter(routes: Routes): Handler {
  const table = new Map(Object.entries(routes));
  return (request) => {
    const { status, headers: own, body } = route(table.get(request.path), request);
    const headers: Record<string, string> = {
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...own,
    };
    const requestId = requestIdOf(request);
    if (requestId !== undefined) headers['x-request-id'] = requestId;
    return { status, headers, body };
  };
}

/** The X-Request-ID of a request, where it is short and plain. */
export function requestIdOf({ headers }: PlainRequest): string | undefined {
  const requestId = headers['x-request-id'];
  return requestId !== undefined && isRequestId(requestId) ? requestId : undefined;
}

function route(methods: Routes[string] | undefined, request: PlainRequest): PlainResponse {
  if (methods === undefined) return errorAnswer(404, 'there is nothing at this path');
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const handler = method === 'GET' || method === 'POST' ? methods[method] : undefined;
  if (handler !== undefined) return handler(request);
  const allowed = Object.keys(methods).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]));
  const refusal = errorAnswer(405, `this path takes ${allowed.join(', ')}`);
  return { ...refusal, headers: { ...refusal.headers, allow: allowed.join(', ') } };
}

/** A JSON answer. */
export function jsonAnswer(status: number, value: unknown): PlainResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

/** A plain answer of one short line. */
export function textAnswer(status: number, line: string): PlainResponse {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: `${line}\n` };
}

/** An error as `{"error": "…"}`. */
export function errorAnswer(status: number, message: string): PlainResponse {
  return jsonAnswer(status, { error: message });
}

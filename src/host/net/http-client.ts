import type { Agent } from 'undici';

import { HostError, hostErrorOf } from '../host-error.ts';

export type HttpAnswer = {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
};

export type HttpClient = {
  /**
   * Sends bytes with PUT and reads the whole answer. Redirects are not followed.
   * @throws HostError `unreachable`, `timeout`, `answer-malformed` (also where it is too large), `aborted`
   */
  put: (url: URL, body: Buffer, contentType: string, signal: AbortSignal) => Promise<HttpAnswer>;
  close: () => Promise<void>;
};

export type HttpClientOptions = {
  /** PEM of the authorities to check a server's certificate against, instead of those that Node brings. */
  ca: string | undefined;
  /** For connecting, and for a whole exchange. */
  timeoutMs: number;
  maxAnswerBytes: number;
};

/** An HTTP client over one connection at a time, bounded in time and size. Loads undici when first used. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  let agent: Agent | undefined;
  return {
    put: async (url, body, contentType, signal) => {
      const undici = await import('undici');
      agent ??= new undici.Agent({
        connections: 1,
        pipelining: 1,
        headersTimeout: options.timeoutMs,
        bodyTimeout: options.timeoutMs,
        maxResponseSize: options.maxAnswerBytes,
        connect: { timeout: options.timeoutMs, ...(options.ca === undefined ? {} : { ca: options.ca }) },
      });
      const timeout = AbortSignal.timeout(options.timeoutMs);
      try {
        const answer = await undici.request(url, {
          method: 'PUT',
          body,
          headers: { 'content-type': contentType, accept: 'application/json' },
          dispatcher: agent,
          signal: AbortSignal.any([timeout, signal]),
        });
        const bytes = Buffer.from(await answer.body.arrayBuffer());
        return { status: answer.statusCode, headers: answer.headers, body: bytes };
      } catch (cause) {
        throw sendError(`sending to ${url.origin}`, cause, timeout, signal);
      }
    },
    close: async () => {
      await agent?.destroy();
      agent = undefined;
    },
  };
}

const TIMEOUTS = ['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT'];

function sendError(doing: string, cause: unknown, timeout: AbortSignal, signal: AbortSignal): HostError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (signal.aborted) return new HostError('aborted', `${doing}: stopped`, { cause });
  if (timeout.aborted || TIMEOUTS.includes(code)) {
    return new HostError('timeout', `${doing}: no whole answer in time`, { cause });
  }
  if (code.startsWith('HPE_') || code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
    return new HostError('answer-malformed', `${doing}: the answer is no HTTP or too large`, { cause });
  }
  const { code: known, message } = hostErrorOf(doing, cause);
  return new HostError(known === 'permission-denied' ? known : 'unreachable', message, { cause });
}

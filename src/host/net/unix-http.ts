import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';

import { HostError, errnoOf, hostErrorOf } from '../host-error.ts';

export type UnixRequest = {
  method: string;
  path: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | Buffer;
};

export type UnixAnswer = {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
};

/** Bytes of an answer at most: a status with the most findings it may carry is well below. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/**
 * Sends one HTTP request over a Unix socket and reads the whole answer, within `timeoutMs` in all.
 * @throws HostError `unreachable` where nobody listens, `permission-denied`, `timeout`, `answer-malformed`
 */
export async function requestUnix(
  socketPath: string,
  { method, path, headers = {}, body }: UnixRequest,
  timeoutMs: number,
): Promise<UnixAnswer> {
  const doing = `asking the agent at "${socketPath}"`;
  const { promise, resolve, reject } = Promise.withResolvers<UnixAnswer>();
  let request: ClientRequest | undefined;
  const timer = setTimeout(() => {
    reject(new HostError('timeout', `${doing}: no whole answer within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    request = httpRequest({
      socketPath,
      method,
      path,
      headers: { host: 'localhost', ...headers },
      agent: false,
    });
    request.once('error', reject);
    request.once('response', (response) => {
      collect(response, doing).then(resolve, reject);
    });
    request.end(body);
    return await promise;
  } catch (cause) {
    throw askError(doing, cause);
  } finally {
    clearTimeout(timer);
    request?.on('error', () => undefined);
    request?.destroy();
  }
}

async function collect(response: IncomingMessage, doing: string): Promise<UnixAnswer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MAX_ANSWER_BYTES) {
      throw new HostError(
        'answer-malformed',
        `${doing}: the answer is larger than ${MAX_ANSWER_BYTES} bytes`,
      );
    }
    pieces.push(piece);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) };
}

function askError(doing: string, cause: unknown): HostError {
  const errno = errnoOf(cause);
  if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'ENOTSOCK'].includes(errno)) {
    return new HostError('unreachable', `${doing}: nobody listens there`, {
      cause,
      hint: 'Start the agent with "sealborn run", or name its run directory.',
    });
  }
  if (errno.startsWith('HPE_')) {
    return new HostError('answer-malformed', `${doing}: the answer is not HTTP`, { cause });
  }
  return hostErrorOf(doing, cause);
}

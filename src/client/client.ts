import { createConnection } from './connection.ts';

/** A question: an evaluation request of AuthZEN 1.0. */
export type CheckRequest = {
  subject: { type: string; id: string; properties?: object };
  action: { name: string; properties?: object };
  resource: { type: string; id: string; properties?: object };
  context?: object;
};

/** An answer. Nothing but `decision: true` is a permit. */
export type CheckAnswer = { decision: boolean; context: CheckContext };

export type CheckContext = {
  /**
   * Why: the agent's own reason, or, with decision false, `unavailable` where the agent gave no answer in time
   * and `request-refused` where it said that the request is none; `error` says more.
   */
  reason:
    | 'permit'
    | 'forbid'
    | 'no-permit'
    | 'error'
    | 'not-trusted'
    | 'not-logged'
    | 'unavailable'
    | 'request-refused'
    | (string & {});
  /** The policies that decided, with where they stand in the policy repository. */
  policies: readonly { id: string; file: string; line: number }[];
  /** Policies that could not be evaluated. */
  errors?: readonly { id: string; message: string }[];
  /** Parts of the request that were not used, or not all of them. */
  ignored?: readonly string[];
  /** The machine's state, where it is not trusted. */
  state?: string;
  release?: { name: string; version: string; commit: string };
  decisionId?: string;
  /** `code`: `timeout`, `unreachable`, `queue-full`, `closed`, or the agent's word for a request it refuses. */
  error?: { code: string; message: string };
};

export type ClientOptions = {
  /** The agent's socket; /run/sealborn/decide.ndjson.sock unless given. */
  socket?: string;
  /** Milliseconds that an answer may take, from the call; 1,000 unless given. */
  timeoutMs?: number;
  /** Questions without an answer at one time; further ones are denied at once. 10,000 unless given. */
  maxPending?: number;
};

export type CheckOptions = {
  timeoutMs?: number;
  /** Ends the wait: the call rejects with the signal's reason. */
  signal?: AbortSignal;
};

export type Client = {
  /**
   * Asks one question. No answer is a deny: the promise resolves with reason `unavailable`, and rejects for
   * nothing but an aborted signal or a request that is no JSON.
   */
  check: (request: CheckRequest, options?: CheckOptions) => Promise<CheckAnswer>;
  /** Asks several at once, in one write; the answers are in the order of the requests. */
  checkMany: (requests: readonly CheckRequest[], options?: CheckOptions) => Promise<CheckAnswer[]>;
  /** Denies what waits and closes the connection. Every later question is a deny. */
  close: () => void;
  [Symbol.dispose]: () => void;
};

/** Bytes of a line that the agent takes at most. */
const MAX_LINE_BYTES = 64 * 1024;

/** Questions that were asked by one call, and what has become of them. */
type Batch = {
  answers: (CheckAnswer | undefined)[];
  unanswered: number;
  /** Its questions have the ids from this one on. */
  firstId: number;
  askedAt: number;
  done: () => void;
};
/** A question on its way; without a batch where nobody waits for its answer any more. */
type Pending = { batch: Batch | undefined; index: number; line: string };

/**
 * Makes a client of the agent's decide.ndjson.sock. It connects at the first question and again when the
 * connection is lost; what waits then is asked again, which is safe, since a question changes nothing. Where the
 * agent has been away for as long as an answer may take, questions are denied at once.
 */
export function createClient(options: ClientOptions = {}): Client {
  const { socket = '/run/sealborn/decide.ndjson.sock', timeoutMs = 1000, maxPending = 10_000 } = options;
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let outgoing = '';
  let heardAt = 0;
  let away: { since: number; why: string } | undefined;
  let closed = false;

  const answerOne = (batch: Batch, index: number, answer: CheckAnswer): void => {
    batch.answers[index] = answer;
    batch.unanswered -= 1;
    if (batch.unanswered === 0) batch.done();
  };
  const denyRest = (batch: Batch, code: string, message: string): void => {
    batch.answers.forEach((answer, index) => {
      if (answer === undefined) answerOne(batch, index, denial('unavailable', code, message));
    });
  };
  /** Forgets the questions of a batch; those that were sent are still answered, and that answer is let pass. */
  const abandon = (batch: Batch): void => {
    for (let id = batch.firstId; id < batch.firstId + batch.answers.length; id += 1) {
      const question = pending.get(id);
      if (question !== undefined) question.batch = undefined;
      if (!connection.isOpen()) pending.delete(id);
    }
  };
  const unreachable = (why: string): string => `no agent answers at "${socket}": ${why}`;
  const isAway = (now: number): boolean => away !== undefined && now - away.since >= timeoutMs;

  const connection = createConnection({
    path: socket,
    onOpen: () => {
      outgoing = '';
      connection.send([...pending.values()].map(({ line }) => line).join(''));
    },
    onLine: (line) => {
      heardAt = performance.now();
      const heard = readAnswer(line);
      // An error without an id is for the oldest question: answers keep the order.
      const [oldest] = heard?.id === null ? pending.keys() : [];
      const id = heard?.id ?? oldest;
      const question = id === undefined ? undefined : pending.get(id);
      if (heard === undefined || id === undefined || question === undefined) {
        connection.drop('the agent sent an answer to no question');
        return;
      }
      pending.delete(id);
      away = undefined;
      connection.isWell();
      if (question.batch !== undefined) answerOne(question.batch, question.index, heard.answer);
    },
    onLost: (why) => {
      if (closed) return;
      const now = performance.now();
      away = { since: away?.since ?? now, why };
      for (const [id, { batch }] of pending) {
        if (batch !== undefined && !isAway(now)) continue;
        pending.delete(id);
        if (batch !== undefined) denyRest(batch, 'unreachable', unreachable(why));
      }
      if (pending.size > 0) connection.want();
    },
  });

  const flush = (): void => {
    if (outgoing !== '') connection.send(outgoing);
    outgoing = '';
  };
  const send = (batch: Batch, lines: readonly string[]): void => {
    const isOpen = connection.isOpen();
    if (isOpen && outgoing === '') queueMicrotask(flush);
    lines.forEach((line, index) => {
      if (batch.answers[index] !== undefined) return;
      pending.set(batch.firstId + index, { batch, index, line });
      if (isOpen) outgoing += line;
    });
    if (isOpen || pending.size === 0) return;
    connection.want();
    if (connection.isOpen() || !isAway(performance.now())) return;
    abandon(batch);
    denyRest(batch, 'unreachable', unreachable(away?.why ?? 'not yet'));
  };
  const timeOut = (batch: Batch, ms: number): void => {
    abandon(batch);
    if (away === undefined) denyRest(batch, 'timeout', `the agent gave no answer within ${ms} ms`);
    else denyRest(batch, 'unreachable', unreachable(away.why));
    // A connection on which nothing at all was heard for as long as that may be dead.
    if (heardAt < batch.askedAt) connection.drop(`nothing was heard for ${ms} ms`);
  };

  const ask = async (
    requests: readonly CheckRequest[],
    { timeoutMs: ms = timeoutMs, signal }: CheckOptions = {},
  ): Promise<CheckAnswer[]> => {
    signal?.throwIfAborted();
    const firstId = lastId + 1;
    const lines = requests.map(
      (request, index) => `${JSON.stringify({ ...request, id: firstId + index })}\n`,
    );
    lastId += lines.length;
    if (closed) return requests.map(() => denial('unavailable', 'closed', 'the client is closed'));
    if (pending.size + requests.length > maxPending) {
      const message = `${pending.size} questions wait already; at most ${maxPending} may`;
      return requests.map(() => denial('unavailable', 'queue-full', message));
    }
    const answers = lines.map((line) => (isTooLong(line) ? TOO_LONG : undefined));
    const unanswered = answers.filter((answer) => answer === undefined).length;
    if (unanswered === 0) return answers as CheckAnswer[];

    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const batch: Batch = { answers, unanswered, firstId, askedAt: performance.now(), done: resolve };
    const onAbort = (): void => {
      abandon(batch);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => timeOut(batch, ms), ms);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      send(batch, lines);
      await promise;
      return batch.answers as CheckAnswer[];
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  };

  const close = (): void => {
    closed = true;
    connection.close();
    for (const { batch } of pending.values()) if (batch) denyRest(batch, 'closed', 'the client was closed');
    pending.clear();
  };
  return {
    check: async (request, how) => (await ask([request], how))[0] as CheckAnswer,
    checkMany: ask,
    close,
    [Symbol.dispose]: close,
  };
}

function denial(reason: 'unavailable' | 'request-refused', code: string, message: string): CheckAnswer {
  return { decision: false, context: { reason, policies: [], error: { code, message } } };
}

const TOO_LONG: CheckAnswer = denial(
  'request-refused',
  'line-too-long',
  `the request is longer than ${MAX_LINE_BYTES} bytes`,
);

function isTooLong(line: string): boolean {
  return line.length > MAX_LINE_BYTES / 3 && Buffer.byteLength(line) - 1 > MAX_LINE_BYTES;
}

/** Reads a line of the agent, or gives undefined for what is no answer at all. */
function readAnswer(line: string): { id: number | null; answer: CheckAnswer } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { id, decision, context, error } = value;
  if (isObject(error) && (id === null || typeof id === 'number')) {
    return { id, answer: denial('request-refused', String(error['code']), String(error['message'])) };
  }
  if (typeof id !== 'number' || typeof decision !== 'boolean' || !isObject(context)) return undefined;
  return { id, answer: { decision, context: context as CheckContext } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

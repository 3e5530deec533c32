import { type Socket, createServer } from 'node:net';

import { HostError } from '../host-error.ts';
import { createLineCutter } from './lines.ts';
import { clientNameOf } from '../kernel/peer-credentials.ts';
import { atTurnEnd, openTurn } from './turn-end.ts';
import { type UnixPlace, listenUnix } from './unix-listen.ts';

/** Why a client is cut off after one last line that says so. */
export type LineRefusal = 'line-too-long' | 'line-unfinished';

export type LineServerOptions = {
  listen: UnixPlace;
  /** One line, without its newline, of a client (peer-credentials.ts) to one answer without its newline. Must not throw. */
  answer: (line: Buffer, client: string) => string;
  /** The last line for a client whose lines can't be told apart any more. */
  refuse: (code: LineRefusal, message: string) => string;
  /** A longer line is refused and the connection closed: where the next line starts is not known then. */
  maxLineBytes: number;
  maxConnections: number;
  /** What a client may take to finish a line that it began, and to read answers that wait for it. */
  patienceMs: number;
  /** What a connection may be silent between lines. */
  idleMs: number;
  /** Told of an error of the listening socket. */
  onError: (thrown: unknown) => void;
};

export type LineServer = { close: () => Promise<void> };

/** Answers are written together up to about this size, and no more lines are read before they are on their way. */
const MAX_ANSWERS = 64 * 1024;

/**
 * Serves a protocol of lines on a Unix socket: one answer a line, in order. Lines that arrive together are
 * answered by one write. While a client does not read, its lines are not read either, so that what it makes
 * this process hold is bounded; one that does not read, or does not finish its line, in time is cut off. A
 * client may close its side and still gets its answers.
 * @throws HostError where it can't listen
 */
export async function serveLines(options: LineServerOptions): Promise<LineServer> {
  const connections = new Set<Connection>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = startConnection(socket, options);
    connections.add(connection);
    socket.on('close', () => connections.delete(connection));
  });
  server.maxConnections = options.maxConnections;
  await listenUnix(server, options.listen);
  // A server that runs has no use for an error of one accept (out of descriptors, say) but to go on.
  server.on('error', options.onError);
  const looking = setInterval(
    () => {
      const now = performance.now();
      for (const connection of connections) connection.look(now);
    },
    Math.max(10, Math.min(1000, options.patienceMs / 4)),
  );
  return {
    close: async () => {
      clearInterval(looking);
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      for (const { socket } of connections) socket.destroy();
      await promise;
    },
  };
}

type Connection = {
  socket: Socket;
  /** Cuts the client off where it has used up its time. */
  look: (now: number) => void;
};

/**
 * What a connection waits for: the rest of a line, the next line, the client to read, or its own end. Each has
 * its own bound of time, which what the client sends or reads bit by bit does not stretch.
 */
type Waiting = 'next-line' | 'rest-of-line' | 'reader' | 'end';

function startConnection(socket: Socket, options: LineServerOptions): Connection {
  const cutter = createLineCutter(options.maxLineBytes);
  // Asked for now: of a connection that was closed the kernel says nothing.
  const client = clientNameOf(socket);
  let waiting: Waiting = 'next-line';
  let since = performance.now();
  let hasEnded = false;

  const wait = (what: Waiting): void => {
    since = performance.now();
    waiting = what;
  };
  // What the client still sends is read and dropped until it closes too: closing on unread bytes would let its
  // next write fail before it has read the last line.
  const end = (last: string): void => {
    wait('end');
    socket.end(last);
    socket.resume();
  };
  const refuse = (code: LineRefusal, message: string): string => `${options.refuse(code, message)}\n`;

  /** Answers that are not written yet. */
  let answers = '';
  let isPutOff = false;
  const takeAnswers = (): string => {
    const taken = answers;
    answers = '';
    return taken;
  };
  const waitForReader = (): void => {
    socket.pause();
    wait('reader');
    socket.once('drain', work);
  };
  const write = (): void => {
    isPutOff = false;
    if (answers !== '' && !socket.write(takeAnswers())) waitForReader();
  };

  const work = (): void => {
    if (socket.destroyed || waiting === 'end') return;
    let hasAnswered = false;
    try {
      for (let line = cutter.next(); line !== undefined; line = cutter.next()) {
        openTurn();
        answers += `${options.answer(line, client)}\n`;
        hasAnswered = true;
        if (answers.length < MAX_ANSWERS) continue;
        socket.pause();
        wait('reader');
        if (socket.write(takeAnswers())) setImmediate(work);
        else socket.once('drain', work);
        return;
      }
    } catch (thrown) {
      if (!(thrown instanceof HostError) || thrown.code !== 'line-too-long') throw thrown;
      end(takeAnswers() + refuse('line-too-long', thrown.message));
      return;
    }
    if (hasEnded) {
      end(
        takeAnswers() + (cutter.isInLine() ? refuse('line-unfinished', 'the last line has no newline') : ''),
      );
      return;
    }
    if (answers !== '' && !isPutOff) {
      isPutOff = true;
      atTurnEnd(write);
    }
    // A line that goes on has no new beginning; one that began behind another that ended has.
    if (hasAnswered || waiting !== 'rest-of-line') wait(cutter.isInLine() ? 'rest-of-line' : 'next-line');
    if (socket.isPaused()) socket.resume();
  };

  socket.on('data', (chunk: Buffer) => {
    if (waiting === 'end') return;
    cutter.push(chunk);
    work();
  });
  socket.on('end', () => {
    hasEnded = true;
    if (waiting !== 'reader') work();
  });
  socket.on('error', () => socket.destroy());
  return {
    socket,
    look: (now) => {
      const waited = now - since;
      if (waiting === 'next-line') {
        if (waited > options.idleMs) end('');
      } else if (waited > options.patienceMs) {
        if (waiting === 'rest-of-line') end(refuse('line-unfinished', 'the line took too long'));
        else socket.destroy();
      }
    },
  };
}

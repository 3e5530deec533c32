import { type Socket, connect } from 'node:net';

export type ConnectionOptions = {
  path: string;
  /** A new connection: what is sent from now on goes over it. */
  onOpen: () => void;
  /** A whole line from the agent, without its newline. */
  onLine: (line: string) => void;
  /** The connection is gone, or could not be had, and why. */
  onLost: (why: string) => void;
};

/** A connection to the agent's socket that is made when it is needed and made again, with growing waits. */
export type Connection = {
  /** Sends text made of whole lines over the connection that is there. */
  send: (text: string) => void;
  /** Connects where there is no connection, or once the wait after the last failure is over. */
  want: () => void;
  /** Whether there is a connection, or an attempt at one under way. */
  isOpen: () => boolean;
  /** Tells that the agent answered, so that the next failure counts as the first. */
  isWell: () => void;
  /** Gives this connection up for another one. */
  drop: (why: string) => void;
  close: () => void;
};

/** Characters of an answer at most. */
const MAX_ANSWER_LENGTH = 8 * 1024 * 1024;
/** Milliseconds: a wait is random up to a bound that doubles with each failure, from the first to the last. */
const FIRST_WAIT = 20;
const LONGEST_WAIT = 1000;

export function createConnection({ path, onOpen, onLine, onLost }: ConnectionOptions): Connection {
  let socket: Socket | undefined;
  let failures = 0;
  let retryAt = 0;
  let timer: NodeJS.Timeout | undefined;

  const lose = (lost: Socket, why: string): void => {
    if (socket !== lost) return;
    socket = undefined;
    lost.destroy();
    // Where an agent takes connections and drops them (it has its most, say), nothing but an answer resets this.
    retryAt = performance.now() + Math.random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures);
    failures = Math.min(failures + 1, 30);
    onLost(why);
  };

  const open = (): void => {
    const opened = connect(path);
    socket = opened;
    let rest = '';
    opened.setEncoding('utf8');
    opened.on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (socket === opened) onLine(line);
      if (rest.length > MAX_ANSWER_LENGTH) lose(opened, 'an answer is too long');
    });
    opened.on('error', (error) => lose(opened, error.message));
    opened.on('close', () => lose(opened, 'the agent closed the connection'));
    onOpen();
  };

  return {
    send: (text) => void socket?.write(text),
    want: () => {
      if (socket !== undefined || timer !== undefined) return;
      const wait = retryAt - performance.now();
      if (wait <= 0) {
        open();
        return;
      }
      timer = setTimeout(() => {
        timer = undefined;
        open();
      }, wait);
    },
    isOpen: () => socket !== undefined,
    isWell: () => {
      failures = 0;
    },
    drop: (why) => {
      if (socket !== undefined) lose(socket, why);
    },
    close: () => {
      clearTimeout(timer);
      const ended = socket;
      socket = undefined;
      ended?.destroy();
    },
  };
}

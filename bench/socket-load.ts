import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

/** How answers are told apart in what arrives. */
export type Protocol = 'http' | 'lines';

/** Asks over connections that each wait for their answers: `connections` × `window` questions are in flight. */
export type Load = {
  path: string;
  protocol: Protocol;
  connections: number;
  /** Questions in flight on each connection. */
  window: number;
  /** Whole requests, used in turn. */
  requests: readonly Buffer[];
};

export type Loader = {
  /** Asks `count` questions; gives the microseconds of each, in no order, and the seconds of all. */
  run: (count: number) => Promise<{ micros: Float64Array; seconds: number }>;
  close: () => void;
};

const NEWLINE = 0x0a;
const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = 'content-length: ';

/**
 * Opens the connections. The generator is raw sockets with requests made beforehand: it must cost less than what
 * it measures. Every answer is counted by its end, whether it is of HTTP or a line.
 */
export async function openLoad({ path, protocol, connections, window, requests }: Load): Promise<Loader> {
  let left = 0;
  let done = 0;
  let next = 0;
  let micros = new Float64Array(0);
  let finish = (): void => undefined;
  let fail: (error: Error) => void = () => undefined;

  const startConnection = async (): Promise<{ socket: Socket; begin: () => void }> => {
    const sentAt = new Float64Array(window);
    let [first, last] = [0, 0];
    const ends = protocol === 'http' ? createHttpCounter() : countLines;
    const socket = connect({
      path,
      onread: {
        buffer: Buffer.allocUnsafe(256 * 1024),
        callback: (size, buffer) => {
          hear(ends(buffer as Buffer, size));
          return true;
        },
      },
    });
    const ask = (count: number): void => {
      const batch: Buffer[] = [];
      const now = performance.now();
      for (let index = 0; index < count && left > 0; index += 1) {
        left -= 1;
        const request = requests[next % requests.length];
        next += 1;
        if (request !== undefined) batch.push(request);
        sentAt[last % window] = now;
        last += 1;
      }
      const [only] = batch;
      if (only !== undefined) socket.write(batch.length === 1 ? only : Buffer.concat(batch));
    };
    const hear = (count: number): void => {
      const now = performance.now();
      for (let index = 0; index < count; index += 1) {
        micros[done] = (now - (sentAt[first % window] ?? now)) * 1000;
        first += 1;
        done += 1;
      }
      if (done === micros.length) finish();
      else ask(count);
    };
    socket.on('error', (error) => fail(error));
    socket.on('close', () => fail(new Error(`"${path}" closed the connection`)));
    await once(socket, 'connect');
    return { socket, begin: () => ask(window) };
  };

  const open = await Promise.all(Array.from({ length: connections }, startConnection));
  return {
    run: async (count) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      [left, done, micros, finish, fail] = [count, 0, new Float64Array(count), resolve, reject];
      const start = performance.now();
      for (const { begin } of open) begin();
      await promise;
      return { micros, seconds: (performance.now() - start) / 1000 };
    },
    close: () => {
      fail = () => undefined;
      for (const { socket } of open) socket.destroy();
    },
  };
}

function countLines(bytes: Buffer, size: number): number {
  const heard = bytes.subarray(0, size);
  let count = 0;
  for (let at = heard.indexOf(NEWLINE); at >= 0; at = heard.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}

/** Counts answers of HTTP that state their length, of which one at a time is under way on a connection. */
function createHttpCounter(): (bytes: Buffer, size: number) => number {
  let missing = 0;
  return (bytes, size) => {
    if (missing === 0) {
      const head = bytes.toString('latin1', 0, bytes.subarray(0, size).indexOf(HEAD_END));
      const at = head.indexOf(LENGTH);
      const length = Number.parseInt(head.slice(at + LENGTH.length), 10);
      if (!head.startsWith('HTTP/1.1 200 ') || at < 0) throw new Error(`not the answer hoped for: ${head}`);
      missing = head.length + HEAD_END.length + length;
    }
    missing -= size;
    return missing === 0 ? 1 : 0;
  };
}

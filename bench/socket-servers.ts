/*
 * The floors of bench/socket.ts, in a process of their own: a bare node:http server that answers every request
 * with the same text, and a server that sends lines back as they came. Both on Unix sockets. Prints "ready".
 */
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

const [httpPath = '', linesPath = '', answer = ''] = process.argv.slice(2);

createHttpServer((request, response) => {
  request.on('data', () => undefined);
  request.on('end', () => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(answer),
    });
    response.end(answer);
  });
}).listen(httpPath, () => {
  createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      rest = bytes.subarray(end);
      if (end > 0) socket.write(bytes.subarray(0, end));
    });
  }).listen(linesPath, () => process.stdout.write('ready\n'));
});
process.once('SIGTERM', () => process.exit(0));

/*
 * The floors of bench/socket.ts, in a process of their own: node:http and lines on Unix sockets, doing nothing that
 * sealborn does. Prints "ready". Arguments: the kind, the two sockets, an answer as JSON.
 *
 * - `bare`: reads a request and answers it with the same text; sends lines back as they came.
 * - `json`: the least that any answer from JSON to JSON takes: `JSON.parse` of the question, `JSON.stringify` of the
 *   answer.
 */
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

const [kind, httpPath = '', linesPath = '', answer = ''] = process.argv.slice(2);
const isBare = kind === 'bare';
const parsed = JSON.parse(answer) as object;

/** Gives what a question is answered with. */
function answerHttp(body: Buffer | undefined): string {
  if (isBare || body === undefined) return answer;
  return JSON.stringify({ ...parsed, for: (JSON.parse(String(body)) as { id?: unknown }).id });
}

function answerLines(lines: Buffer): Buffer | string {
  if (isBare) return lines;
  let answers = '';
  for (const line of lines.toString('utf8', 0, lines.length - 1).split('\n')) {
    answers += `${JSON.stringify({ id: (JSON.parse(line) as { id?: unknown }).id, ...parsed })}\n`;
  }
  return answers;
}

createHttpServer((request, response) => {
  let body: Buffer | undefined;
  request.on('data', (piece: Buffer) => (body = body === undefined ? piece : Buffer.concat([body, piece])));
  request.on('end', () => {
    const text = answerHttp(body);
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  });
}).listen(httpPath, () => {
  createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      rest = bytes.subarray(end);
      if (end > 0) socket.write(answerLines(bytes.subarray(0, end)));
    });
  }).listen(linesPath, () => process.stdout.write('ready\n'));
});
process.once('SIGTERM', () => process.exit(0));

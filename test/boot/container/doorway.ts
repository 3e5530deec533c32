/**
 * node doorway.ts DIRECTORY PORT…: holds a network namespace, and in DIRECTORY a Unix socket <PORT>.sock for each
 * port, which leads to that port of the namespace's loopback. Says "open" when they are there.
 */
import { createServer, connect } from 'node:net';
import { join } from 'node:path';

const [directory = '.', ...ports] = process.argv.slice(2);
await Promise.all(
  ports.map(async (port) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const server = createServer({ allowHalfOpen: true }, (from) => {
      const to = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
      from.on('error', () => to.destroy());
      to.on('error', () => from.destroy());
      from.pipe(to).pipe(from);
    });
    server.listen(join(directory, `${port}.sock`), resolve);
    await promise;
  }),
);
process.stdout.write('open\n');

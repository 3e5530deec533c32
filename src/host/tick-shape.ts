import { executionAsyncResource } from 'node:async_hooks';

let kept: object | undefined;

/**
 * Keeps one of Node.js's ticks for as long as the process runs. V8 forgets the shape of objects of which a collection
 * finds none, and where `process.nextTick` makes the next one it then takes the slow way for good: 0.3 µs a tick, of which
 * a request of HTTP needs several (docs/decisions/0007-asking-over-sockets.md).
 * @returns what is kept
 */
export async function keepTickShape(): Promise<object> {
  if (kept !== undefined) return kept;
  const { promise, resolve } = Promise.withResolvers<object>();
  // What a callback of a tick runs for is that tick.
  process.nextTick(() => resolve(executionAsyncResource()));
  return (kept = await promise);
}

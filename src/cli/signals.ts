/** Waits for SIGTERM or SIGINT; a second one ends the process as it always would. */
export async function untilStopped(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once('SIGTERM', resolve);
  process.once('SIGINT', resolve);
  await promise;
}

/** How long a tier sleeps at most without a sign of life. */
const BEAT_MS = 30_000;

/** The sleep of a tier, which can be cut short. */
export type Pacer = {
  /** Sleeps until `due` (milliseconds of performance.now()), giving signs of life; ends early when woken or aborted. */
  until: (due: number, alive: () => void, signal: AbortSignal) => Promise<void>;
  /** Ends the sleep that is under way; without one it does nothing. */
  wake: () => void;
};

export function createPacer(): Pacer {
  let wake: () => void = () => undefined;
  return {
    until: async (due, alive, signal) => {
      let woken = false;
      for (;;) {
        alive();
        const left = due - performance.now();
        if (left <= 0 || woken || signal.aborted) return;
        const { promise, resolve: settle } = Promise.withResolvers<void>();
        const resolve = (): void => settle();
        wake = () => {
          woken = true;
          resolve();
        };
        const timer = setTimeout(resolve, Math.min(left, BEAT_MS));
        signal.addEventListener('abort', resolve, { once: true });
        await promise;
        clearTimeout(timer);
        signal.removeEventListener('abort', resolve);
      }
    },
    wake: () => wake(),
  };
}

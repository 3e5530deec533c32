/** How long a tier sleeps at most without a sign of life. */
const BEAT_MS = 30_000;

/** The sleep of a tier, which can be cut short. */
export type Pacer = {
  /** Sleeps until `due` (milliseconds of performance.now()), giving signs of life; ends early when woken or aborted. */
  until: (due: number, alive: () => void, signal: AbortSignal) => Promise<void>;
  /** Ends the sleep that is under way; without one, the next. */
  wake: () => void;
};

export function createPacer(): Pacer {
  let isWoken = false;
  let end: () => void = () => undefined;
  return {
    until: async (due, alive, signal) => {
      for (;;) {
        alive();
        const left = due - performance.now();
        if (left <= 0 || isWoken || signal.aborted) break;
        const { promise, resolve } = Promise.withResolvers<void>();
        end = () => resolve();
        const timer = setTimeout(end, Math.min(left, BEAT_MS));
        signal.addEventListener('abort', end, { once: true });
        await promise;
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
      }
      isWoken = false;
    },
    wake: () => {
      isWoken = true;
      end();
    },
  };
}

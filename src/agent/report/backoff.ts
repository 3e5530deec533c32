import { setTimeout as sleep } from 'node:timers/promises';

/** Waits that grow with each failure in a row, each cut short when the work is stopped. */
export type Backoff = {
  /** Failures since the last success. */
  failures: () => number;
  reset: () => void;
  /**
   * Counts a failure and waits a random time up to `first * 2^failures`, never beyond `most` ("full jitter"),
   * and no less than `atLeastMs` where given.
   */
  wait: (atLeastMs: number | undefined) => Promise<void>;
  /** Waits this long. */
  pause: (ms: number) => Promise<void>;
};

export function createBackoff(bounds: { first: number; most: number }, stop: AbortSignal): Backoff {
  let failures = 0;
  const pause = async (ms: number): Promise<void> => {
    await sleep(ms, undefined, { signal: stop }).catch(() => undefined);
  };
  return {
    failures: () => failures,
    reset: () => {
      failures = 0;
    },
    wait: async (atLeastMs = 0) => {
      const ceiling = Math.min(bounds.most, bounds.first * 2 ** Math.min(failures, 30));
      failures += 1;
      await pause(Math.max(atLeastMs, Math.random() * ceiling));
    },
    pause,
  };
}

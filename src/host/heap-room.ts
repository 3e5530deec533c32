import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/** What the heap may come to under load before V8 looks through all of it. */
const ROOM = 32 * 1024 * 1024;

/**
 * Lets the heap of a small release grow to 32 MB before V8 marks what of it is alive. By itself V8 does so whenever a
 * few megabytes were added, which under load is several times a second, a few milliseconds each. To be called after
 * loading, when the heap holds little but what stays. A heap that is idle is collected all the same.
 */
export function giveHeapRoom(): void {
  const percent = Math.round((ROOM / getHeapStatistics().used_heap_size - 1) * 100);
  // Of a large heap V8 knows better how much more it is worth.
  if (percent > 50) setFlagsFromString(`--heap-growing-percent=${percent}`);
}

/**
 * Puts answers off to the end of a turn of the event loop, so that those of all questions that arrived together leave
 * together: a client that sleeps between two answers costs a wake-up for each.
 */

/** What waits at most; one more and all of it is done at once. */
const MAX_WAITING = 32;

let waiting: (() => void)[] = [];
let isOpen = false;

/**
 * To be called before a question is answered: what its answer needs done at the end of the turn comes before what
 * else is put off by `setImmediate` meanwhile, such as the lines of the log.
 */
export function openTurn(): void {
  if (isOpen) return;
  isOpen = true;
  setImmediate(endTurn);
}

/** Does this at the end of the turn, in the order of the calls. It must not throw. */
export function atTurnEnd(run: () => void): void {
  openTurn();
  waiting.push(run);
  if (waiting.length >= MAX_WAITING) runAll();
}

function endTurn(): void {
  isOpen = false;
  runAll();
}

function runAll(): void {
  const all = waiting;
  waiting = [];
  for (const run of all) run();
}

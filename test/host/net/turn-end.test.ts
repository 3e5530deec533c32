import { setImmediate as nextTurn } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { atTurnEnd, openTurn } from '../../../src/host/net/turn-end.ts';

describe('atTurnEnd', () => {
  it('does what was put off at the end of the turn, in order, before what was put off after it was opened', async () => {
    const done: string[] = [];
    openTurn();
    setImmediate(() => done.push('line of the log'));
    atTurnEnd(() => done.push('first answer'));
    atTurnEnd(() => done.push('second answer'));
    expect(done).toEqual([]);
    await nextTurn();
    expect(done).toEqual(['first answer', 'second answer', 'line of the log']);
  });

  it('lets no more than 32 wait', async () => {
    const done: number[] = [];
    for (let index = 0; index < 33; index += 1) atTurnEnd(() => done.push(index));
    expect(done.length).toBe(32);
    await nextTurn();
    expect(done.length).toBe(33);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createLineQueue } from '../../../src/agent/decide/line-queue.ts';

describe('createLineQueue', () => {
  it('gives back every line whole and in order, however it is filled and emptied', () => {
    const line = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ maxLength: 300 }));
    const steps = fc.array(fc.oneof(line, fc.integer({ min: 1, max: 500 })), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (all) => {
        const queue = createLineQueue();
        const [added, taken]: [string[], string[]] = [[], []];
        const take = (bytes: number): void => {
          const before = queue.bytes();
          const piece = String(queue.take(bytes));
          const lines = piece.slice(0, -1).split('\n');
          expect(queue.bytes()).toBe(before - Buffer.byteLength(piece));
          if (lines.length > 1) expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(bytes);
          taken.push(...lines);
        };
        for (const step of all) {
          if (typeof step === 'string') {
            const text = step.toWellFormed().replaceAll('\n', ' ');
            queue.add(text);
            added.push(text);
          } else if (queue.bytes() > 0) take(step);
        }
        while (queue.bytes() > 0) take(100);
        expect(taken).toEqual(added);
      }),
    );
  });

  it('holds megabytes while the disk is slow, and a line larger than all it holds by then', () => {
    const queue = createLineQueue();
    const lines = Array.from({ length: 3000 }, (_, index) => `${index}:${'é'.repeat(500)}`);
    for (const line of lines) queue.add(line);
    const large = 'x'.repeat(2_000_000);
    queue.add(large);
    let text = '';
    while (queue.bytes() > 0) text += String(queue.take(64 * 1024));
    expect(text === `${[...lines, large].join('\n')}\n`).toBe(true);
    queue.add('after');
    expect(String(queue.take(1))).toBe('after\n');
    expect(queue.bytes()).toBe(0);
  });
});

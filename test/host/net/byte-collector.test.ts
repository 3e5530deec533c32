import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createByteCollector } from '../../../src/host/net/byte-collector.ts';

describe('createByteCollector', () => {
  it('gives back what was added, whole and once, however many pieces it was', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3 }), { maxLength: 300 }), (pieces) => {
        const collector = createByteCollector(1000);
        for (const piece of pieces) expect(collector.add(Buffer.from(piece))).toBe(true);
        expect(collector.take()).toEqual(Buffer.concat(pieces));
        expect([collector.size(), collector.take().length]).toEqual([0, 0]);
      }),
    );
  });

  it('takes up to its bound and holds nothing of what is beyond', () => {
    const collector = createByteCollector(3);
    expect(['ab', 'cd', 'c'].map((piece) => collector.add(Buffer.from(piece)))).toEqual([true, false, true]);
    expect(String(collector.take())).toBe('abc');
  });
});

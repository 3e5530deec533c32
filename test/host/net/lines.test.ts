import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createLineReader } from '../../../src/host/net/lines.ts';

describe('createLineReader', () => {
  it('gives the same lines however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[^\n]{0,20}$/), { maxLength: 10 }),
        fc.array(fc.nat({ max: 200 }), { maxLength: 10 }),
        (lines, cuts) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
          const read = createLineReader(1000);
          const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
          const out = at.slice(1).flatMap((end, index) => read(bytes.subarray(at[index], end)));
          expect(out.map(String)).toEqual(
            Buffer.from(lines.join('\n')).toString().split('\n').slice(0, lines.length),
          );
        },
      ),
    );
  });

  it('throws line-too-long at the first byte beyond the bound, finished or not', () => {
    expect(createLineReader(3)(Buffer.from('abc\n')).map(String)).toEqual(['abc']);
    expect(() => createLineReader(3)(Buffer.from('abcd\n'))).toThrow(
      expect.objectContaining({ code: 'line-too-long' }),
    );
    const read = createLineReader(3);
    read(Buffer.from('ab'));
    expect(() => read(Buffer.from('cd'))).toThrow(expect.objectContaining({ code: 'line-too-long' }));
  });
});

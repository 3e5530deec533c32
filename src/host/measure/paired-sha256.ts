import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import koffi from 'koffi';

import { Pinned } from '../kernel/linux.ts';

/** Bytes that SHA-256 takes in at a time (FIPS 180-4, section 5.2.2). */
export const BLOCK_BYTES = 64;

/** Bytes that `padTail` may write after the content: the rest of a block, and one more. */
export const PADDING_BYTES: number = 2 * BLOCK_BYTES;

/** Places in one call: OpenSSL works on four or eight messages; two fill a core's SHA unit. */
const STRIDE = 8;
const FOUR_OR_FEWER = 1;

/** FIPS 180-4, section 5.3.3. */
const INITIAL: readonly number[] = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

type Call = (...args: number[]) => void;

/**
 * SHA-256 over two messages at once, on one thread. Each round of one message waits for the round before; two
 * messages fill each other's gaps, so that a core does a third more. It is OpenSSL's own code, which TLS uses,
 * in the Node.js executable (crypto/sha/asm/sha256-mb-x86_64.pl); it has no public name in OpenSSL's library,
 * so whoever uses this goes on without where it is missing, and trusts no "no" of it: see `inspect-pairs.ts`.
 */
export class PairedSha256 {
  readonly #two: Call;
  readonly #one: Call;
  // Word w of lane l stands at [w * STRIDE + l].
  readonly #state = new Pinned(8 * STRIDE * 4);
  readonly #words = new Uint32Array(this.#state.bytes.buffer);
  // For each of four lanes: address (8 bytes), number of blocks (4 bytes), nothing (4 bytes).
  readonly #inputs = new Pinned(4 * 16);
  readonly #input = new Uint32Array(this.#inputs.bytes.buffer);
  readonly #alone = new Pinned(8 * 4);
  readonly #aloneWords = new Uint32Array(this.#alone.bytes.buffer);

  constructor(two: Call, one: Call) {
    this.#two = two;
    this.#one = one;
  }

  /** Begins a message on lane 0 or 1. */
  start(lane: number): void {
    for (let w = 0; w < 8; w += 1) this.#words[w * STRIDE + lane] = INITIAL[w] ?? 0;
  }

  /** Takes so many blocks of each lane's message, which stand at these addresses. */
  both(address0: number, address1: number, blocks: number): void {
    this.#setInput(0, address0, blocks);
    this.#setInput(1, address1, blocks);
    this.#two(this.#state.address, this.#inputs.address, FOUR_OR_FEWER);
  }

  /** Takes blocks of one lane's message alone, as fast as one message goes. */
  single(lane: number, address: number, blocks: number): void {
    const { length } = INITIAL;
    for (let w = 0; w < length; w += 1) this.#aloneWords[w] = this.#words[w * STRIDE + lane] ?? 0;
    this.#one(this.#alone.address, address, blocks);
    for (let w = 0; w < length; w += 1) this.#words[w * STRIDE + lane] = this.#aloneWords[w] ?? 0;
  }

  /** Whether the 32 bytes at `at` are the digest of the lane's message, whose last block was taken. */
  isDigest(lane: number, digests: DataView, at: number): boolean {
    let difference = 0;
    for (let w = 0; w < 8; w += 1) {
      difference |= (this.#words[w * STRIDE + lane] ?? 0) ^ digests.getUint32(at + 4 * w);
    }
    return difference === 0;
  }

  /** Writes the digest of the lane's message, whose last block was taken: 32 bytes at `at`. */
  digest(lane: number, out: Uint8Array, at: number): void {
    for (let w = 0; w < 8; w += 1) {
      setWord(out, at + 4 * w, this.#words[w * STRIDE + lane] ?? 0);
    }
  }

  #setInput(lane: number, address: number, blocks: number): void {
    this.#input[lane * 4] = address % 2 ** 32;
    this.#input[lane * 4 + 1] = Math.floor(address / 2 ** 32);
    this.#input[lane * 4 + 2] = blocks;
  }
}

/**
 * Writes the padding of a message of `length` bytes after its last part, which ends at `end` of `bytes`; blocks
 * begin at multiples of 64 there (FIPS 180-4, section 5.1.1). @returns where the last block ends
 */
export function padTail(bytes: Uint8Array, end: number, length: number): number {
  const blocksEnd = Math.ceil((end + 9) / BLOCK_BYTES) * BLOCK_BYTES;
  bytes[end] = 0x80;
  // Byte by byte: for so few, each built-in function and each view would take longer.
  for (let at = end + 1; at < blocksEnd - 8; at += 1) bytes[at] = 0;
  const bits = length * 8; // below 2^56: no file is larger than 2^53 bytes
  setWord(bytes, blocksEnd - 8, Math.floor(bits / 2 ** 32));
  setWord(bytes, blocksEnd - 4, bits % 2 ** 32);
  return blocksEnd;
}

function setWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}

/**
 * The hasher, once it has proved on this very processor that it gives what node:crypto gives; undefined where
 * this Node.js has no such code (another architecture, an OpenSSL of the distribution's) or it differs, and where
 * the processor has no SHA instructions.
 */
export function openPairedSha256(cpuinfo: string = readCpuinfo()): PairedSha256 | undefined {
  if (process.arch !== 'x64' || !hasShaInstructions(cpuinfo)) return undefined;
  const hasher = bind();
  return hasher !== undefined && isRight(hasher) ? hasher : undefined;
}

/**
 * Without them OpenSSL takes other code for several messages: it works on four at a time, so that two cost as much
 * as four, and it needs SSSE3 without asking for it, which would end this process on a processor that has none.
 * @param cpuinfo the content of /proc/cpuinfo
 */
function hasShaInstructions(cpuinfo: string): boolean {
  return /^flags\s*:.* sha_ni(?: |$)/m.test(cpuinfo);
}

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'latin1');
  } catch {
    return ''; // nothing is known of the processor: one message at a time works on each
  }
}

function bind(): PairedSha256 | undefined {
  try {
    const self = koffi.load(null);
    return new PairedSha256(
      self.func('void sha256_multi_block(uintptr_t, uintptr_t, int)') as Call,
      self.func('void sha256_block_data_order(uintptr_t, uintptr_t, size_t)') as Call,
    );
  } catch {
    return undefined;
  }
}

/** Lengths on both sides of each edge of the padding, and more blocks than any loop is unrolled to. */
const PROOF_LENGTHS: readonly number[] = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 4096];

function isRight(hasher: PairedSha256): boolean {
  const room = 4096 + PADDING_BYTES;
  const memory = [new Pinned(room), new Pinned(room)] as const;
  const found = Buffer.alloc(32);
  return PROOF_LENGTHS.every((first, i) => {
    const lengths = [first, PROOF_LENGTHS[PROOF_LENGTHS.length - 1 - i] ?? 0];
    const wanted = memory.map(({ bytes }, lane) => {
      const length = lengths[lane] ?? 0;
      for (let j = 0; j < length; j += 1) bytes[j] = (j * 131 + i * 17 + lane * 71) & 0xff;
      return createHash('sha256').update(bytes.subarray(0, length)).digest();
    });
    const blocks = memory.map(
      ({ bytes }, l) => padTail(bytes, lengths[l] ?? 0, lengths[l] ?? 0) / BLOCK_BYTES,
    );
    const common = Math.min(...blocks);
    hasher.start(0);
    hasher.start(1);
    hasher.both(memory[0].address, memory[1].address, common);
    return memory.every(({ address }, lane) => {
      const rest = (blocks[lane] ?? 0) - common;
      if (rest > 0) hasher.single(lane, address + common * BLOCK_BYTES, rest);
      hasher.digest(lane, found, 0);
      return wanted[lane]?.equals(found) === true;
    });
  });
}

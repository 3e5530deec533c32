import { createHash, hash } from 'node:crypto';

/** Block size of data and of the Merkle tree: what every kernel with fs-verity takes, and what its tools use. */
const BLOCK_BYTES = 4096;
const DIGEST_BYTES = 32;
const ZEROS = new Uint8Array(BLOCK_BYTES);

/**
 * The fs-verity digest of a file, computed as its content comes by (kernel documentation, filesystems/fsverity,
 * "Merkle tree" and "fs-verity descriptor"): SHA-256, blocks of 4,096 bytes, no salt. Blocks are hashed, the hashes
 * put into blocks, those hashed again, up to a single hash; that hash and the size stand in a descriptor, whose
 * SHA-256 is the digest. The last block of each level is filled up with zeros.
 */
export class FsVerityHasher {
  /** Data that does not fill a block yet. */
  readonly #data = new Uint8Array(BLOCK_BYTES);
  #dataLength = 0;
  #size = 0;
  /** For each level, from the bottom: the block of hashes that is being filled, and how many bytes it has. */
  readonly #levels: { block: Uint8Array; length: number }[] = [];

  /** Takes the next bytes of the content. */
  update(bytes: Uint8Array): void {
    this.#size += bytes.length;
    let at = 0;
    if (this.#dataLength > 0) {
      at = Math.min(bytes.length, BLOCK_BYTES - this.#dataLength);
      this.#data.set(bytes.subarray(0, at), this.#dataLength);
      this.#dataLength += at;
      if (this.#dataLength < BLOCK_BYTES) return;
      this.#add(0, this.#data);
      this.#dataLength = 0;
    }
    for (; bytes.length - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
      this.#add(0, bytes.subarray(at, at + BLOCK_BYTES));
    }
    this.#data.set(bytes.subarray(at));
    this.#dataLength = bytes.length - at;
  }

  /** The digest of all that came, 32 bytes; makes ready for the next file. */
  digest(): Buffer {
    if (this.#dataLength > 0) {
      this.#data.fill(0, this.#dataLength);
      this.#add(0, this.#data);
    }
    const descriptor = Buffer.alloc(256);
    descriptor[0] = 1; // version
    descriptor[1] = 1; // FS_VERITY_HASH_ALG_SHA256
    descriptor[2] = Math.log2(BLOCK_BYTES);
    descriptor.writeBigUInt64LE(BigInt(this.#size), 8);
    descriptor.set(this.#root(), 16);
    this.#dataLength = 0;
    this.#size = 0;
    for (const level of this.#levels) level.length = 0;
    return createHash('sha256').update(descriptor).digest();
  }

  /** The single hash at the top; of an empty file, zeros. */
  #root(): Uint8Array {
    for (let at = 0; ; at += 1) {
      const level = this.#levels[at];
      if (level === undefined || (at === 0 && level.length === 0)) return ZEROS.subarray(0, DIGEST_BYTES);
      const isTop = (this.#levels[at + 1]?.length ?? 0) === 0;
      if (isTop && level.length <= DIGEST_BYTES) return level.block.slice(0, DIGEST_BYTES);
      this.#flush(at);
    }
  }

  /** Hashes a full block and puts the hash into level `at`. */
  #add(at: number, block: Uint8Array): void {
    const level = (this.#levels[at] ??= { block: new Uint8Array(BLOCK_BYTES), length: 0 });
    // Only when one more comes it is known that this level needs one above it.
    if (level.length === BLOCK_BYTES) this.#flush(at);
    level.block.set(hash('sha256', block, 'buffer'), level.length);
    level.length += DIGEST_BYTES;
  }

  #flush(at: number): void {
    const level = this.#levels[at];
    if (level === undefined) return;
    level.block.fill(0, level.length);
    this.#add(at + 1, level.block);
    level.length = 0;
  }
}

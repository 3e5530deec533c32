import { EINVAL, Pinned, errno, ioctl } from './linux.ts';

/** `_IOWR('f', 134, struct fsverity_digest)` of linux/fsverity.h, as x86-64 and arm64 encode it. */
const FS_IOC_MEASURE_VERITY = 0xc004_6686;
const FS_VERITY_HASH_ALG_SHA256 = 1;
const DIGEST_BYTES = 32;
/** `digest_algorithm` and `digest_size`, 16 bits each, stand before the digest. */
const HEAD_BYTES = 4;

/**
 * What the kernel says of a file that has fs-verity: the digest against which it checks each block that is read of
 * it, by whomever. It was put there when the file was sealed, and can't be changed without making another file.
 */
export class KernelVerity {
  readonly #memory = new Pinned(HEAD_BYTES + DIGEST_BYTES);
  readonly #view = new DataView(this.#memory.bytes.buffer);
  /** After `of` gave 0: the 32 bytes, good until the next call. */
  readonly digest: Uint8Array = this.#memory.bytes.subarray(HEAD_BYTES);

  /**
   * Asks for the fs-verity digest of an open file. 0, or the errno: ENODATA where the file has none, EOPNOTSUPP
   * where its file system was made without, ENOTTY where file system or kernel have no such thing, EOVERFLOW for
   * a longer digest; EINVAL for one of another algorithm.
   */
  of(descriptor: number): number {
    this.#view.setUint16(0, 0, true);
    this.#view.setUint16(2, DIGEST_BYTES, true);
    if (ioctl(descriptor, FS_IOC_MEASURE_VERITY, this.#memory.address) !== 0) return errno();
    const [algorithm, size] = [this.#view.getUint16(0, true), this.#view.getUint16(2, true)];
    return algorithm === FS_VERITY_HASH_ALG_SHA256 && size === DIGEST_BYTES ? 0 : EINVAL;
  }
}

import { createHash, getHashes } from 'node:crypto';

import { DIGEST_NAMES, type DigestName } from '../../manifest/mtree/listing.ts';
import { EINTR, Pinned, errno, pread } from '../kernel/linux.ts';
import { PosixCksum } from './posix-cksum.ts';

const CHUNK_BYTES = 256 * 1024;

/** Names of OpenSSL. */
const ALGORITHM: Readonly<Record<DigestName, string>> = {
  md5: 'md5',
  sha1: 'sha1',
  rmd160: 'ripemd160',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sha512256: 'sha512-256',
};

/** The digests that this machine's OpenSSL makes. */
export function availableDigests(): ReadonlySet<DigestName> {
  const known = new Set(getHashes().map((name) => name.toLowerCase()));
  return new Set(DIGEST_NAMES.filter((name) => known.has(ALGORITHM[name])));
}

/** What was asked for of one file's content. */
export type ContentDigests = Partial<Record<DigestName, string>> & { cksum?: number };

const memory = new Pinned(CHUNK_BYTES);

/**
 * Reads `size` bytes of an open file once and makes every digest that is asked for. `onBytes` hears of each piece.
 * @returns `changed` where the file is not of that size, or the errno where it can't be read
 */
export function digestContent(
  descriptor: number,
  size: number,
  names: readonly DigestName[],
  withCksum: boolean,
  onBytes: (count: number) => void,
): ContentDigests | 'changed' | number {
  const states = names.map((name) => [name, createHash(ALGORITHM[name])] as const);
  const cksum = withCksum ? new PosixCksum() : undefined;
  let at = 0;
  for (;;) {
    // At the end as well: a file that is longer by now shows.
    const length = pread(descriptor, memory.address, CHUNK_BYTES, at);
    if (length < 0) {
      const error = errno();
      if (error === EINTR) continue;
      return error;
    }
    if (length === 0) break;
    at += length;
    if (at > size) return 'changed';
    const piece = memory.bytes.subarray(0, length);
    for (const [, state] of states) state.update(piece);
    cksum?.update(piece);
    onBytes(length);
  }
  if (at !== size) return 'changed';
  const digests: ContentDigests = {};
  for (const [name, state] of states) digests[name] = state.digest('hex');
  if (cksum !== undefined) digests.cksum = cksum.finish();
  return digests;
}

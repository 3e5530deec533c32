/** Bytes that arrive in pieces, up to a bound. */
export type ByteCollector = {
  /** Holds one more piece; false where that is more than the bound, and then it is not held. */
  add: (piece: Buffer) => boolean;
  /** Bytes held. */
  size: () => number;
  /** All bytes in one piece; the collector is empty after. */
  take: () => Buffer;
};

/** Pieces that are held apart at most: a sender of single bytes must not cost a Buffer for each. */
const MAX_PIECES = 64;

export function createByteCollector(maxBytes: number): ByteCollector {
  let pieces: Buffer[] = [];
  let size = 0;
  const join = (): Buffer => {
    const [first] = pieces;
    return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces, size);
  };
  return {
    add: (piece) => {
      if (size + piece.length > maxBytes) return false;
      size += piece.length;
      pieces.push(piece);
      if (pieces.length > MAX_PIECES) pieces = [join()];
      return true;
    },
    size: () => size,
    take: () => {
      const whole = join();
      pieces = [];
      size = 0;
      return whole;
    },
  };
}

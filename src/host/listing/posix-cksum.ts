/** The polynomial of POSIX's cksum (IEEE Std 1003.1, cksum), most significant bit first. */
const POLYNOMIAL = 0x04c1_1db7;

const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value & 0x8000_0000 ? (value << 1) ^ POLYNOMIAL : value << 1;
  return value >>> 0;
});

/** The checksum that cksum(1) prints: a CRC over the content and then its length. It finds accidents, not attacks. */
export class PosixCksum {
  #crc = 0;
  #length = 0;

  update(bytes: Uint8Array): void {
    let crc = this.#crc;
    for (let i = 0; i < bytes.length; i += 1) crc = step(crc, bytes[i] ?? 0);
    this.#crc = crc;
    this.#length += bytes.length;
  }

  finish(): number {
    let crc = this.#crc;
    for (let length = this.#length; length > 0; length = Math.floor(length / 256))
      crc = step(crc, length % 256);
    return ~crc >>> 0;
  }
}

function step(crc: number, byte: number): number {
  return ((crc << 8) ^ (TABLE[((crc >>> 24) ^ byte) & 0xff] ?? 0)) >>> 0;
}

/**
 * vis(3) as mtree files use it, in one spelling only: a byte is itself where it is a visible ASCII character
 * without a meaning of its own to a reader of mtree, else a backslash and three octal digits. `*`, `?` and `[`
 * are escaped as what some readers take for a pattern (NetBSD's mtree of 2018 does even so), `#` since it begins a
 * comment, `=` since it ends the name of an extended attribute.
 */
const PLAIN: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte > 0x20 && byte < 0x7f && !'\\#*?[='.includes(String.fromCharCode(byte)) ? 1 : 0,
);

const ESCAPED = /[^!-~]|[\\#*?[=]/g;

const BACKSLASH = 0x5c;

/** Raw bytes (one code unit each) as they stand in a manifest. */
export function encodeVis(raw: string): string {
  return raw.replace(ESCAPED, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/**
 * Decodes `bytes[from, to)` into `out` at `at`.
 * @returns the end of what was written, or -1 where it is not exactly what `encodeVis` writes: a byte that
 * should be escaped, an escape of one that should not, or a NUL
 */
export function decodeVis(bytes: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number {
  let end = at;
  for (let i = from; i < to; i += 1) {
    const byte = bytes[i] ?? 0;
    if (PLAIN[byte] === 1) {
      out[end] = byte;
    } else {
      if (byte !== BACKSLASH || i + 3 >= to) return -1;
      const high = (bytes[i + 1] ?? 0) - 0x30;
      const middle = (bytes[i + 2] ?? 0) - 0x30;
      const low = (bytes[i + 3] ?? 0) - 0x30;
      if (high < 0 || high > 3 || middle < 0 || middle > 7 || low < 0 || low > 7) return -1;
      const value = high * 64 + middle * 8 + low;
      if (value === 0 || PLAIN[value] === 1) return -1;
      out[end] = value;
      i += 3;
    }
    end += 1;
  }
  return end;
}

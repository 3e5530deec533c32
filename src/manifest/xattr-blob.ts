/**
 * Extended attributes as one run of bytes: for each, sorted by the bytes of its name, the name, a NUL, the
 * length of the value (four bytes, little-endian) and the value. Equal sets have equal bytes, so that a check
 * of 100,000 files compares bytes and makes no objects.
 */
export function packXattrs(xattrs: ReadonlyMap<string, Uint8Array>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, value] of [...xattrs].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const head = Buffer.alloc(name.length + 5);
    head.write(name, 'latin1');
    head.writeUInt32LE(value.length, name.length + 1);
    parts.push(head, value);
  }
  return Buffer.concat(parts);
}

/** The attributes of a run that `packXattrs` made; values are copies. */
export function unpackXattrs(blob: Uint8Array): Map<string, Buffer> {
  const bytes = Buffer.from(blob);
  const out = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length;) {
    const nul = bytes.indexOf(0, at);
    const start = nul + 5;
    const end = start + bytes.readUInt32LE(nul + 1);
    out.set(bytes.toString('latin1', at, nul), bytes.subarray(start, end));
    at = end;
  }
  return out;
}

import { TYPE_DIR, type PackedTree } from './packed-tree.ts';

type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** What `TreeBuilder.add` takes beside the name: see `PackedTree` for each. */
export type Row = {
  parent: number;
  type: number;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  size: number;
};

/**
 * Makes a `PackedTree`. Entries come in its order, the root first; the caller keeps the order and that a
 * parent is a directory which came before. Whoever knows how many entries come says so, and no column is ever
 * copied; else they grow by doubling and are copied to their exact size at the end.
 */
export class TreeBuilder {
  count = 0;
  type: Uint8Array;
  nameAt: Uint32Array;
  names: Uint8Array = new Uint8Array(4096);
  #nameEnd = 0;
  #parent: Uint32Array;
  #mode: Uint16Array;
  #uid: Uint32Array;
  #gid: Uint32Array;
  #nlink: Uint32Array;
  #size: Float64Array;
  #digest: Uint8Array;
  // Most manifests have no such digest: then there is no memory for it.
  #verity = new Uint8Array(0);
  #extraAt: Uint32Array;
  // The first place is 1: 0 means none.
  #extras = new Uint8Array(1024);
  #extraEnd = 1;

  constructor(rows = 256) {
    this.type = new Uint8Array(new SharedArrayBuffer(rows));
    this.nameAt = new Uint32Array(new SharedArrayBuffer((rows + 1) * 4));
    this.#parent = new Uint32Array(new SharedArrayBuffer(rows * 4));
    this.#mode = new Uint16Array(new SharedArrayBuffer(rows * 2));
    this.#uid = new Uint32Array(new SharedArrayBuffer(rows * 4));
    this.#gid = new Uint32Array(new SharedArrayBuffer(rows * 4));
    this.#nlink = new Uint32Array(new SharedArrayBuffer(rows * 4));
    this.#size = new Float64Array(new SharedArrayBuffer(rows * 8));
    this.#digest = new Uint8Array(new SharedArrayBuffer(rows * 32));
    this.#extraAt = new Uint32Array(new SharedArrayBuffer(rows * 4));
  }

  /** Adds an entry whose name is `bytes[from, to)`; returns its index. */
  add(row: Row, bytes: Uint8Array, from: number, to: number): number {
    const index = this.count;
    if (index === this.type.length) this.#growRows(Math.max(256, index * 2));
    if (this.#nameEnd + to - from + 1 > this.names.length) {
      this.names = grown(this.names, Math.max(this.names.length * 2, this.#nameEnd + to - from + 1));
    }
    this.#parent[index] = row.parent;
    this.type[index] = row.type;
    this.#mode[index] = row.mode;
    this.#uid[index] = row.uid;
    this.#gid[index] = row.gid;
    this.#nlink[index] = row.nlink;
    this.#size[index] = row.size;
    this.nameAt[index] = this.#nameEnd;
    for (let i = from; i < to; i += 1) this.names[this.#nameEnd++] = bytes[i] ?? 0;
    this.names[this.#nameEnd++] = 0;
    this.nameAt[index + 1] = this.#nameEnd;
    this.count = index + 1;
    return index;
  }

  /** Sets the SHA-256 of entry `index` from 64 lower-case hexadecimal digits; false where they are not that. */
  setDigest(index: number, hex: Uint8Array, from: number): boolean {
    return setHex(this.#digest, index, hex, from);
  }

  /** The same for its fs-verity digest, which is never all zeros: in the tree, that is none. */
  setVerity(index: number, hex: Uint8Array, from: number): boolean {
    const need = this.type.length * 32;
    if (this.#verity.length < need) this.#verity = grown(this.#verity, need);
    const isHex = setHex(this.#verity, index, hex, from);
    return isHex && this.#verity.subarray(index * 32, index * 32 + 32).some((byte) => byte !== 0);
  }

  /** Sets the target and the attributes (`packXattrs`) of entry `index`; either may be empty. */
  setExtra(index: number, link: Uint8Array, xattrs: Uint8Array): void {
    const need = this.#extraEnd + 8 + link.length + xattrs.length;
    if (need > this.#extras.length) {
      this.#extras = grown(this.#extras, Math.max(need, this.#extras.length * 2));
    }
    this.#extraAt[index] = this.#extraEnd;
    const view = new DataView(this.#extras.buffer);
    view.setUint32(this.#extraEnd, link.length, true);
    view.setUint32(this.#extraEnd + 4, xattrs.length, true);
    this.#extras.set(link, this.#extraEnd + 8);
    this.#extras.set(xattrs, this.#extraEnd + 8 + link.length);
    this.#extraEnd = need;
  }

  /** The finished tree. */
  finish(): PackedTree {
    const { count } = this;
    const parent = shared(this.#parent, count);
    const { childAt, childList } = children(parent, count);
    return {
      count,
      parent,
      end: subtreeEnds(parent, count),
      nameAt: shared(this.nameAt, count + 1),
      names: shared(this.names, this.#nameEnd),
      type: shared(this.type, count),
      mode: shared(this.#mode, count),
      uid: shared(this.#uid, count),
      gid: shared(this.#gid, count),
      nlink: shared(this.#nlink, count),
      size: shared(this.#size, count),
      digest: shared(this.#digest, count * 32),
      verity: this.#verity.length === 0 ? this.#verity : shared(this.#verity, count * 32),
      extraAt: shared(this.#extraAt, count),
      extras: shared(this.#extras, this.#extraEnd),
      childAt,
      childList,
    };
  }

  #growRows(length: number): void {
    this.type = grown(this.type, length);
    this.nameAt = grown(this.nameAt, length + 1);
    this.#parent = grown(this.#parent, length);
    this.#mode = grown(this.#mode, length);
    this.#uid = grown(this.#uid, length);
    this.#gid = grown(this.#gid, length);
    this.#nlink = grown(this.#nlink, length);
    this.#size = grown(this.#size, length);
    this.#digest = grown(this.#digest, length * 32);
    this.#extraAt = grown(this.#extraAt, length);
  }
}

/** Whether entry `index` of a tree being built is a directory. */
export function isDirectory(builder: TreeBuilder, index: number): boolean {
  return builder.type[index] === TYPE_DIR;
}

const HEX: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(byte));
  return digit < 0 ? 0xff : digit;
});

/** Writes 32 bytes at place `index` from 64 lower-case hexadecimal digits; false where they are not that. */
function setHex(out: Uint8Array, index: number, hex: Uint8Array, from: number): boolean {
  let bad = 0;
  for (let i = 0; i < 32; i += 1) {
    const high = HEX[hex[from + 2 * i] ?? 0] ?? 0xff;
    const low = HEX[hex[from + 2 * i + 1] ?? 0] ?? 0xff;
    bad |= high | low;
    out[index * 32 + i] = (high << 4) | low;
  }
  return bad < 16;
}

function grown<C extends Column>(column: C, length: number): C {
  const make = column.constructor as new (buffer: SharedArrayBuffer) => C;
  const out = new make(new SharedArrayBuffer(length * column.BYTES_PER_ELEMENT));
  out.set(column);
  return out;
}

function shared<C extends Column>(column: C, length: number): C {
  if (column.length === length && column.buffer instanceof SharedArrayBuffer) return column;
  return grown(column.subarray(0, length) as C, length);
}

function subtreeEnds(parent: Uint32Array, count: number): Uint32Array {
  const end = new Uint32Array(new SharedArrayBuffer(count * 4));
  // From the last to the first: what lies below an entry has its end by then.
  for (let i = count - 1; i >= 0; i -= 1) {
    if ((end[i] ?? 0) <= i) end[i] = i + 1;
    const above = parent[i] ?? 0;
    if (i > 0 && (end[above] ?? 0) < (end[i] ?? 0)) end[above] = end[i] ?? 0;
  }
  return end;
}

function children(parent: Uint32Array, count: number): { childAt: Uint32Array; childList: Uint32Array } {
  const childAt = new Uint32Array(new SharedArrayBuffer((count + 1) * 4));
  const childList = new Uint32Array(new SharedArrayBuffer(Math.max(0, count - 1) * 4));
  for (let i = 1; i < count; i += 1) childAt[(parent[i] ?? 0) + 1] = (childAt[(parent[i] ?? 0) + 1] ?? 0) + 1;
  for (let i = 1; i <= count; i += 1) childAt[i] = (childAt[i] ?? 0) + (childAt[i - 1] ?? 0);
  const next = childAt.slice(0, count);
  for (let i = 1; i < count; i += 1) {
    const above = parent[i] ?? 0;
    const place = next[above] ?? 0;
    childList[place] = i;
    next[above] = place + 1;
  }
  return { childAt, childList };
}

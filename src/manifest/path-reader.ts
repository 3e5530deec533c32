import { bytePath } from '../base/byte-path.ts';
import { MAX_NAME_BYTES, MAX_PATH_BYTES } from './limits.ts';
import type { LineReader } from './line-reader.ts';
import { findPath } from './packed-tree.ts';
import { type TreeBuilder, isDirectory } from './tree-builder.ts';
import { decodeVis } from './vis.ts';

const SLASH = 0x2f;
const DOT = 0x2e;

/**
 * Reads the path that begins a line and finds its parent: the chain of entries above the line before is kept,
 * and the new path must continue from one of them. What is out of order is refused, so duplicates are found
 * without a set of all paths.
 */
export class PathReader {
  /** The path of the line, decoded, without `./`: `path[0, length)`; the name begins at `nameFrom`. */
  path: Uint8Array = new Uint8Array(MAX_PATH_BYTES);
  length = 0;
  nameFrom = 0;
  /** Index of the directory that holds it. */
  parent = 0;
  isRoot = false;
  readonly #reader: LineReader;
  readonly #builder: TreeBuilder;
  #previous: Uint8Array = new Uint8Array(MAX_PATH_BYTES);
  #previousLength = -1;
  // The entry of the line before and those above it: index, and length of its path.
  readonly #chainIndex: number[] = [];
  readonly #chainLength: number[] = [];

  constructor(reader: LineReader, builder: TreeBuilder) {
    this.#reader = reader;
    this.#builder = builder;
  }

  /** Takes the path of the line. */
  read(): void {
    const reader = this.#reader;
    const to = reader.tokenEnd();
    const { bytes, at } = reader;
    this.isRoot = to === at + 1 && bytes[at] === DOT;
    if (this.isRoot) {
      this.length = 0;
      this.nameFrom = 0;
      if (this.#builder.count > 0) reader.fail('manifest-duplicate', 'the root is listed twice');
    } else {
      if (bytes[at] === SLASH)
        reader.fail('manifest-path-absolute', `the path ${this.#quoted(to)} is absolute`);
      if (bytes[at] !== DOT || bytes[at + 1] !== SLASH) this.#refuseStart(to);
      if (to - at - 2 > MAX_PATH_BYTES * 4) this.#refuseLong();
      // Escapes only shrink; up to four times the bound is decoded before it is known to hold.
      const room = to - at - 2 > this.path.length ? new Uint8Array(to - at - 2) : this.path;
      this.length = decodeVis(bytes, at + 2, to, room, 0);
      if (this.length < 0) {
        reader.fail('manifest-syntax', 'the path has a bad escape or a byte that must be escaped');
      }
      if (this.length > MAX_PATH_BYTES) this.#refuseLong();
      if (room !== this.path) this.path.set(room.subarray(0, this.length));
      this.#checkComponents(to);
      this.#findParent(to);
    }
    reader.at = to;
  }

  /** The entry of the line was added as `index`. */
  added(index: number): void {
    this.#chainIndex.push(index);
    this.#chainLength.push(this.length);
    const used = this.#previous;
    this.#previous = this.path;
    this.#previousLength = this.length;
    this.path = used;
  }

  #checkComponents(to: number): void {
    const { path, length } = this;
    let from = 0;
    for (let i = 0; i <= length; i += 1) {
      if (i < length && path[i] !== SLASH) continue;
      const size = i - from;
      if (size === 2 && path[from] === DOT && path[from + 1] === DOT) this.#refuseEscape(to);
      if (size === 0 || (size === 1 && path[from] === DOT) || size > MAX_NAME_BYTES) {
        this.#reader.fail(
          'manifest-path-invalid',
          `the path ${this.#quoted(to)} has an empty, "." or over-long component`,
        );
      }
      this.nameFrom = from;
      from = i + 1;
    }
  }

  #findParent(to: number): void {
    const { path, length } = this;
    const chainIndex = this.#chainIndex;
    const chainLength = this.#chainLength;
    if (chainIndex.length === 0) {
      this.#reader.fail('manifest-parent-missing', 'the first entry is not the root "."');
    }
    const common = this.#commonLength();
    if (!this.#isAfterPrevious(common)) this.#refuseOrder(to);
    for (;;) {
      const above = chainLength.at(-1) ?? 0;
      if (above === 0 || (above <= common && path[above] === SLASH)) break;
      chainIndex.pop();
      chainLength.pop();
    }
    const above = chainLength.at(-1) ?? 0;
    this.parent = chainIndex.at(-1) ?? 0;
    if (!isDirectory(this.#builder, this.parent)) {
      this.#reader.fail(
        'manifest-below-non-directory',
        `the path ${this.#quoted(to)} lies below an entry that is not a directory`,
      );
    }
    if (this.nameFrom !== (above === 0 ? 0 : above + 1) || length === 0) {
      this.#reader.fail(
        'manifest-parent-missing',
        `the directory that holds ${this.#quoted(to)} is not listed before it`,
      );
    }
  }

  #commonLength(): number {
    const most = Math.min(this.length, this.#previousLength);
    let common = 0;
    while (common < most && this.path[common] === this.#previous[common]) common += 1;
    return common;
  }

  #isAfterPrevious(common: number): boolean {
    if (common === this.#previousLength) return this.length > common;
    if (common === this.length) return false;
    const mine = this.path[common] ?? 0;
    const before = this.#previous[common] ?? 0;
    // A slash sorts below every byte of a name: a directory's content comes before its next sibling.
    return before === SLASH ? true : mine !== SLASH && mine > before;
  }

  #refuseOrder(to: number): never {
    if (this.#isListed()) {
      this.#reader.fail('manifest-duplicate', `the path ${this.#quoted(to)} is listed twice`);
    }
    return this.#reader.fail('manifest-order', `the path ${this.#quoted(to)} is out of order`);
  }

  /** Looks through what was read so far, once, on the way to an error. */
  #isListed(): boolean {
    return findPath(this.#builder.finish(), bytePath(this.path.subarray(0, this.length))) >= 0;
  }

  #refuseStart(to: number): never {
    const { bytes, at } = this.#reader;
    if (bytes[at] === DOT && bytes[at + 1] === DOT && (to === at + 2 || bytes[at + 2] === SLASH)) {
      this.#refuseEscape(to);
    }
    return this.#reader.fail(
      'manifest-path-invalid',
      `${this.#quoted(to)} is not a path: it must be "." or begin with "./"`,
    );
  }

  #refuseEscape(to: number): never {
    return this.#reader.fail('manifest-path-escapes', `the path ${this.#quoted(to)} has a ".." component`);
  }

  #refuseLong(): never {
    return this.#reader.fail('manifest-path-invalid', `the path is longer than ${MAX_PATH_BYTES} bytes`);
  }

  /** The path as it stands in the file, cut to a length that a message can hold. */
  #quoted(to: number): string {
    const { at } = this.#reader;
    return JSON.stringify(this.#reader.text(at, Math.min(to, at + 200)));
  }
}

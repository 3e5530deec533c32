import { ENTRY_TYPES } from './entry.ts';
import { ManifestError, type ManifestErrorCode } from './manifest-error.ts';

const SPACE = 0x20;
const EQUALS = 0x3d;
const KNOWN = ['type', 'mode', 'uid', 'gid', 'nlink', 'size', 'sha256digest', 'tags', 'link', 'device'];

/**
 * A position in a manifest and what can be read from there: each function takes exactly the spelling that
 * `formatManifest` writes and throws a `ManifestError` that names the line at any other.
 */
export class LineReader {
  readonly bytes: Uint8Array;
  /** Where to read next. */
  at = 0;
  /** One past the last byte of the line: where its newline stands. */
  end = 0;
  /** Counted from 1. */
  line = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  fail(code: ManifestErrorCode, message: string): never {
    throw new ManifestError(code, `manifest line ${this.line}: ${message}`, {
      hint: 'Build the release again; a manifest is never edited by hand.',
    });
  }

  /** Takes ` keyword=`. */
  keyword(keyword: Uint8Array): void {
    const { bytes } = this;
    for (let i = 0; i < keyword.length; i += 1) {
      if (bytes[this.at + i] !== keyword[i]) this.#refuseKeyword(keyword);
    }
    this.at += keyword.length;
  }

  /** Whether ` prefix` comes next; then takes it. */
  optionalPrefix(prefix: Uint8Array): boolean {
    for (let i = 0; i < prefix.length; i += 1) {
      if (this.bytes[this.at + i] !== prefix[i]) return false;
    }
    this.at += prefix.length;
    return true;
  }

  /** A decimal number from 0 to `max`, without leading zeros, ending at `stop`, a space or the line's end. */
  decimal(max: number, what: string, stop: number = SPACE): number {
    const { bytes } = this;
    const from = this.at;
    let value = 0;
    while (this.at < this.end) {
      const digit = (bytes[this.at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      this.at += 1;
    }
    const length = this.at - from;
    const ended = this.at === this.end || bytes[this.at] === stop;
    // Sixteen digits can pass 2^53, where a number is no longer exact; `max` is below that.
    if (length === 0 || length > 16 || (length > 1 && bytes[from] === 0x30) || !ended || value > max) {
      this.fail('manifest-syntax', `${what} is not a whole number from 0 to ${max} in canonical form`);
    }
    return value;
  }

  /** Four octal digits. */
  mode(): number {
    let value = 0;
    for (let i = 0; i < 4; i += 1) {
      const digit = (this.bytes[this.at + i] ?? 0) - 0x30;
      if (this.at + i >= this.end || digit < 0 || digit > 7) {
        this.fail('manifest-syntax', 'mode is not four octal digits');
      }
      value = value * 8 + digit;
    }
    this.at += 4;
    return value;
  }

  /** One of `ENTRY_TYPES`, as its index. */
  type(): number {
    const to = this.tokenEnd();
    const word = this.text(this.at, to);
    const index = (ENTRY_TYPES as readonly string[]).indexOf(word);
    if (index < 0) this.fail('manifest-syntax', `type ${JSON.stringify(word.slice(0, 64))} is not known`);
    this.at = to;
    return index;
  }

  /** Where the token at the position ends: at a space or the line's end. */
  tokenEnd(): number {
    let to = this.at;
    while (to < this.end && this.bytes[to] !== SPACE) to += 1;
    return to;
  }

  /** Bytes as text, one code unit each. */
  text(from: number, to: number): string {
    const { buffer, byteOffset } = this.bytes;
    return Buffer.from(buffer, byteOffset + from, to - from).toString('latin1');
  }

  /** Refuses whatever stands at the position, where nothing or an attribute may. */
  refuseRest(): never {
    return this.#refuseKeyword();
  }

  #refuseKeyword(expected?: Uint8Array): never {
    const wanted =
      expected === undefined
        ? 'nothing or an extended attribute'
        : `"${Buffer.from(expected).toString('latin1').trim()}"`;
    if (this.at >= this.end) this.fail('manifest-syntax', `the line ends where ${wanted} must come`);
    if (this.bytes[this.at] === SPACE) {
      let to = this.at + 1;
      while (to < this.end && this.bytes[to] !== SPACE && this.bytes[to] !== EQUALS) to += 1;
      const word = this.text(this.at + 1, Math.min(to, this.at + 65));
      if (!KNOWN.includes(word) && !word.startsWith('xattr.') && word !== '') {
        this.fail('manifest-unknown-keyword', `keyword ${JSON.stringify(word)} is not known`);
      }
    }
    const found = JSON.stringify(this.text(this.at, Math.min(this.end, this.at + 40)));
    return this.fail('manifest-syntax', `${wanted} must come where ${found} stands`);
  }
}

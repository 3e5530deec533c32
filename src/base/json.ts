import { utf8 } from './bytes.ts';
import { BaseError } from './errors.ts';

/**
 * A value read from JSON or YAML. Objects inherit nothing, so that `__proto__` and `constructor` are keys
 * like any other. An integer beyond 2^53 - 1 is a bigint, never rounded.
 */
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;
export type JsonObject = { [key: string]: JsonValue };

export type JsonLimits = {
  /** Bytes of input at most; every caller states its own bound. */
  maxBytes: number;
  /** Arrays and objects inside each other at most; 64 unless told. */
  maxDepth?: number;
  /** Makes objects that take a third of the memory and a little more time: for what is kept. */
  isKept?: boolean;
};

const DEFAULT_MAX_DEPTH = 64;

/**
 * Makes objects that inherit nothing: their prototype has no member, no prototype of its own, and can't be given
 * one. V8 keeps objects of a constructor in its fast form, those of `Object.create(null)` as dictionaries.
 */
const PlainObject = function (this: unknown): void {} as unknown as new () => JsonObject;
PlainObject.prototype = Object.freeze(Object.create(null));

/** An object that inherits nothing, so that `__proto__` and `constructor` are keys of it like any other. */
export function emptyObject(): JsonObject {
  return new PlainObject();
}

/**
 * Parses JSON as RFC 8259 says and I-JSON (RFC 7493) narrows it: valid UTF-8, no byte order mark, no
 * duplicate key, no unpaired surrogate, one value and nothing after it. `JSON.parse` keeps the last of two
 * equal keys, so that two readers of one signed text could see two things; this refuses.
 * @throws BaseError `json-too-large`, `json-too-deep`, `json-duplicate-key`, `json-invalid`, `utf8-invalid`;
 * the message names line and column.
 */
export function parseJson(bytes: Uint8Array | string, what: string, limits: JsonLimits): JsonValue {
  const size = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length;
  if (size > limits.maxBytes) {
    throw new BaseError('json-too-large', `${what} is ${size} bytes; at most ${limits.maxBytes} are read`);
  }
  const text = typeof bytes === 'string' ? bytes : utf8(bytes, what);
  return new Parser(text, what, limits).document();
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BRACE = 0x7d;
const BACKSLASH = 0x5c;
const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/**
 * Keys that were read lately: a new string for each would have to be looked up among all names that V8 knows. Each was
 * a key at once, so it is a string of its own and does not hold the text that it stood in.
 */
const recentKeys: string[] = Array.from({ length: 256 }, () => '');
/** The same of short strings, names of types and actions among them: each becomes a key of some Map. */
const recentStrings: string[] = Array.from({ length: 512 }, () => '');
/** Longer ones are no names that come again and again. */
const MAX_RECENT = 64;
/** A string may hold the text that it stood in, which must be a small one then. */
const MAX_RECENT_TEXT = 2048;

function sliceOnce(recent: string[], text: string, start: number, end: number): string {
  const length = end - start;
  if (length === 0 || length > MAX_RECENT) return text.slice(start, end);
  const hash = text.charCodeAt(start) * 31 + text.charCodeAt(end - 1) * 7 + length;
  const slot = hash & (recent.length - 1);
  const known = recent[slot] ?? '';
  if (known.length === length && text.startsWith(known, start)) return known;
  return (recent[slot] = text.slice(start, end));
}

class Parser {
  readonly #text: string;
  readonly #what: string;
  readonly #maxDepth: number;
  readonly #isKept: boolean;
  #at = 0;

  constructor(text: string, what: string, { maxDepth = DEFAULT_MAX_DEPTH, isKept = false }: JsonLimits) {
    this.#text = text;
    this.#what = what;
    this.#maxDepth = maxDepth;
    this.#isKept = isKept;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail('json-invalid', 'there is text after the value');
    return value;
  }

  #fail(code: 'json-invalid' | 'json-too-deep' | 'json-duplicate-key', problem: string): never {
    const before = this.#text.slice(0, this.#at);
    const line = before.split('\n').length;
    const column = this.#at - before.lastIndexOf('\n');
    throw new BaseError(code, `${this.#what}:${line}:${column}: ${problem}`);
  }

  #space(): void {
    const c = this.#text.charCodeAt(this.#at);
    if (c > 32 || Number.isNaN(c)) return;
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #value(depth: number): JsonValue {
    this.#space();
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x7b: // {
        return this.#object(depth + 1);
      case 0x5b: // [
        return this.#array(depth + 1);
      case QUOTE:
        return this.#string();
      case 0x74:
        return this.#word('true', true);
      case 0x66:
        return this.#word('false', false);
      case 0x6e:
        return this.#word('null', null);
      default:
        if (this.#at >= this.#text.length)
          return this.#fail('json-invalid', 'the text ends where a value should be');
        return this.#number();
    }
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('json-invalid', 'this is not a value');
    this.#at += word.length;
    return value;
  }

  #number(): number | bigint {
    const text = this.#text;
    let at = this.#at;
    let small = 0;
    let c = text.charCodeAt(at);
    // Most are short and whole.
    if (c > 0x30 && c <= 0x39) {
      while (c >= 0x30 && c <= 0x39 && at - this.#at < 15) {
        small = small * 10 + c - 0x30;
        at += 1;
        c = text.charCodeAt(at);
      }
      if (c === COMMA || c === BRACE) {
        this.#at = at;
        return small;
      }
    }
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) return this.#fail('json-invalid', 'this is not a value');
    const value = Number(match[0]);
    if (!Number.isFinite(value)) this.#fail('json-invalid', 'this number is out of range');
    this.#at = NUMBER.lastIndex;
    const isInteger = match[1] === undefined && match[2] === undefined;
    return isInteger && !Number.isSafeInteger(value) ? BigInt(match[0]) : value;
  }

  /** Most strings are short and hold nothing but plain characters; those are taken in one piece. */
  #string(): string {
    const start = this.#at + 1;
    const end = this.#plainEnd(start);
    if (end < 0) return this.#stringInPieces();
    this.#at = end + 1;
    const text = this.#text;
    return text.length > MAX_RECENT_TEXT
      ? text.slice(start, end)
      : sliceOnce(recentStrings, text, start, end);
  }

  #key(): string {
    const start = this.#at + 1;
    const end = this.#plainEnd(start);
    if (end < 0) return this.#stringInPieces();
    this.#at = end + 1;
    return sliceOnce(recentKeys, this.#text, start, end);
  }

  /** Where the quote stands that ends a string of plain characters alone; -1 where there are others. */
  #plainEnd(start: number): number {
    const text = this.#text;
    for (let at = start; at < text.length; at += 1) {
      const c = text.charCodeAt(at);
      if (c === QUOTE) return at;
      if (c < 0x20 || c === BACKSLASH || (c >= 0xd800 && c <= 0xdfff)) break;
    }
    return -1;
  }

  #stringInPieces(): string {
    const text = this.#text;
    let out = '';
    this.#at += 1;
    for (;;) {
      PLAIN.lastIndex = this.#at;
      PLAIN.test(text);
      const end = PLAIN.lastIndex;
      const piece = text.slice(this.#at, end);
      this.#at = end;
      const c = text[end];
      out = out === '' ? piece : out + piece;
      if (c === '"') {
        this.#at += 1;
        if (!out.isWellFormed()) this.#fail('json-invalid', 'this string holds an unpaired surrogate');
        return out;
      }
      if (c !== '\\') {
        const problem = c === undefined ? 'this string has no end' : 'a control character must be escaped';
        return this.#fail('json-invalid', problem);
      }
      out += this.#escape();
    }
  }

  #escape(): string {
    const c = this.#text[this.#at + 1] ?? '';
    if (c === 'u') {
      const hex = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) this.#fail('json-invalid', 'this \\u escape is not four digits');
      this.#at += 6;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const plain = ESCAPES[c];
    if (plain === undefined) return this.#fail('json-invalid', 'there is no such escape');
    this.#at += 2;
    return plain;
  }

  #array(depth: number): JsonValue[] {
    if (depth > this.#maxDepth) this.#tooDeep();
    const out: JsonValue[] = [];
    this.#at += 1;
    this.#space();
    if (this.#text[this.#at] === ']') {
      this.#at += 1;
      return out;
    }
    for (;;) {
      out.push(this.#value(depth));
      this.#space();
      const c = this.#text[this.#at];
      if (c !== ',' && c !== ']') this.#fail('json-invalid', 'an array goes on with "," or ends with "]"');
      this.#at += 1;
      if (c === ']') return out;
    }
  }

  #object(depth: number): JsonObject {
    if (depth > this.#maxDepth) this.#tooDeep();
    // V8 makes a hash table of an object that has no prototype from the start, a plain one of one that loses it.
    const out = this.#isKept ? (Object.setPrototypeOf({}, null) as JsonObject) : emptyObject();
    this.#at += 1;
    this.#space();
    if (this.#text[this.#at] === '}') {
      this.#at += 1;
      return out;
    }
    let isEmpty = true;
    for (;;) {
      this.#space();
      if (this.#text.charCodeAt(this.#at) !== QUOTE)
        this.#fail('json-invalid', 'a key must be a string in double quotes');
      const key = this.#key();
      if (!isEmpty && key in out)
        this.#fail('json-duplicate-key', `the key ${JSON.stringify(key)} stands here twice`);
      isEmpty = false;
      this.#space();
      if (this.#text.charCodeAt(this.#at) !== COLON) this.#fail('json-invalid', 'a key is followed by ":"');
      this.#at += 1;
      out[key] = this.#value(depth);
      this.#space();
      const c = this.#text.charCodeAt(this.#at);
      if (c !== COMMA && c !== BRACE)
        this.#fail('json-invalid', 'an object goes on with "," or ends with "}"');
      this.#at += 1;
      if (c === BRACE) return out;
    }
  }

  #tooDeep(): never {
    return this.#fail('json-too-deep', `arrays and objects nest more than ${this.#maxDepth} deep`);
  }
}

/**
 * JSON text with sorted keys, no white space and a final newline for none: the same value always gives the
 * same bytes (the sorting of RFC 8785 over the values this program writes: no fractions, no exponents).
 * bigints are written as plain integers.
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.toWellFormed());
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`);
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'bigint':
      return value.toString();
    case 'object': {
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`;
      const members: string[] = [];
      const object = value as Record<string, unknown>;
      for (const key of Object.keys(object).sort()) {
        const member = object[key];
        if (member !== undefined) members.push(`${JSON.stringify(key)}:${canonicalJson(member)}`);
      }
      return `{${members.join(',')}}`;
    }
    default:
      throw new TypeError(`JSON has no ${typeof value}`);
  }
}

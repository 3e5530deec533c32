import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type JsonValue, canonicalJson, parseJson } from '../../src/base/json.ts';

const parse = (text: string | Uint8Array, maxDepth = 64): JsonValue =>
  parseJson(text, 'test.json', { maxBytes: 1 << 20, maxDepth });

describe('parseJson', () => {
  it('reads what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(JSON.parse(canonicalJson(parse(text)))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('accepts and refuses the same texts as JSON.parse, but for what I-JSON forbids', () => {
    const token = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"\\u0041"',
      '1',
      '-0',
      '1.5',
      '12345678901234',
      'true',
      'null',
      ' ',
      '01',
      '.5',
      '"',
      '\\',
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        const text = tokens.join('');
        let theirs: unknown;
        try {
          theirs = JSON.parse(text);
        } catch {
          expect(() => parse(text)).toThrow();
          return;
        }
        try {
          expect(JSON.parse(canonicalJson(parse(text)))).toEqual(JSON.parse(canonicalJson(theirs)));
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'json-duplicate-key' });
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('reads numbers of every length and what may stand behind them', () => {
    for (let digits = 1; digits < 22; digits += 1) {
      const text = '1234567890123456789012'.slice(0, digits);
      for (const end of ['', ' ', '\n', '.5', 'e1', 'E-1']) {
        for (const wrap of [
          (one: string) => `[${one}]`,
          (one: string) => `{"a":${one}}`,
          (one: string) => `{"a":${one},"b":1}`,
          (one: string) => one,
        ]) {
          for (const whole of [wrap(text + end), wrap(`-${text}${end}`)]) {
            expect(JSON.parse(canonicalJson(parse(whole)))).toEqual(JSON.parse(whole));
          }
        }
      }
    }
    for (const bad of ['1a', '01', '1-', '1"', '+1', '1.', '00', '1e']) {
      expect(() => parse(`{"a":${bad}}`)).toThrow(expect.objectContaining({ code: 'json-invalid' }));
    }
  });

  it('gives each string as it stands, however many were read before', () => {
    const strings = Array.from({ length: 3000 }, (_, index) => `s${(index * 7919) % 997}`);
    expect(parse(JSON.stringify(strings))).toEqual(strings);
    for (const one of strings) expect(parse(`{"${one}":"${one}x"}`)).toEqual({ [one]: `${one}x` });
  });

  it('keeps integers beyond 2^53 exact', () => {
    expect(parse('[9007199254740993, -9223372036854775808, 9007199254740991, 1.5]')).toEqual([
      9007199254740993n,
      -9223372036854775808n,
      9007199254740991,
      1.5,
    ]);
  });

  it('treats __proto__ and constructor as keys like any other', () => {
    const value = parse('{"__proto__": {"admin": true}, "constructor": 1}') as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    for (const name of ['admin', 'toString', 'hasOwnProperty', 'valueOf']) expect(name in value).toBe(false);
    // What all objects share has nothing, inherits nothing, and can be given nothing.
    const shared = Object.getPrototypeOf(value) as object;
    expect(Object.getPrototypeOf(shared)).toBeNull();
    expect(Reflect.ownKeys(shared)).toEqual([]);
    expect(Object.isFrozen(shared)).toBe(true);
  });

  it.each([
    ['{"a": 1, "a": 2}', 'json-duplicate-key'],
    ['{"a": 1, "\\u0061": 2}', 'json-duplicate-key'],
    ['"\\ud800"', 'json-invalid'],
    ['"\\udc00x"', 'json-invalid'],
    ['1 2', 'json-invalid'],
    ['', 'json-invalid'],
    ['\ufeff{}', 'json-invalid'],
    ['"a\nb"', 'json-invalid'],
    ['1e999', 'json-invalid'],
    ['nul', 'json-invalid'],
  ])('refuses %j as %s', (text, code) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code }));
  });

  it('refuses what is not UTF-8', () => {
    expect(() => parse(Buffer.from([0x22, 0xff, 0x22]))).toThrow(
      expect.objectContaining({ code: 'utf8-invalid' }),
    );
  });

  it('refuses a million nested arrays by the depth limit, at once', () => {
    expect(() => parse('['.repeat(1_000_000), 64)).toThrow(
      expect.objectContaining({ code: 'json-too-deep' }),
    );
    expect(() => parse('{"a":'.repeat(200_000), 64)).toThrow(
      expect.objectContaining({ code: 'json-too-deep' }),
    );
  });

  it('refuses more bytes than allowed before it looks at them', () => {
    expect(() => parseJson('"aaaa"', 'x', { maxBytes: 5 })).toThrow(
      expect.objectContaining({ code: 'json-too-large' }),
    );
  });

  it('names file, line and column', () => {
    expect(() => parse('{\n  "a": 1,\n  oops\n}')).toThrow(/^test\.json:3:3: /);
  });

  it('tells keys apart that share length, first and last character, whatever was read before', () => {
    const keys = ['axxb', 'ayyb', 'a"yb', 'aéyb', 'ayyb'.repeat(20), ''];
    for (let round = 0; round < 3; round += 1) {
      for (const [first = '', second = ''] of keys.flatMap((one) => keys.map((other) => [one, other]))) {
        const text = `{${JSON.stringify(first)}:1,${JSON.stringify(second)}:2}`;
        if (first === second) expect(() => parse(text)).toThrow('stands here twice');
        else
          expect(Object.entries(parse(text) as object)).toEqual(Object.entries(JSON.parse(text) as object));
      }
    }
  });
});

describe('canonicalJson', () => {
  it('gives the same text whatever the order of keys', () => {
    expect(canonicalJson({ b: 1, a: [true, null, 5n], c: undefined })).toBe('{"a":[true,null,5],"b":1}');
  });
  it('is read back as the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(parse(canonicalJson(value)))).toBe(canonicalJson(value));
      }),
    );
  });
});

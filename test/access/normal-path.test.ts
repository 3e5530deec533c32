import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readNormalPath } from '../../src/access/normal-path.ts';

function texts(target: string): string[] | string {
  const read = readNormalPath(target);
  return typeof read === 'string' ? read : read.map(({ text }) => text);
}

describe('readNormalPath', () => {
  it.each<[string, string[]]>([
    ['/', ['']],
    ['/orders', ['orders']],
    ['/orders/', ['orders', '']],
    ['/orders/17?page=2&x=[1]', ['orders', '17']],
    ["/a-b._~!$&'()*+,=:@", ["a-b._~!$&'()*+,=:@"]],
    ['/caf%C3%A9/%E6%97%A5', ['café', '日']],
    ['/ana%40example.org', ['ana@example.org']],
    ['/a%20b', ['a b']],
    ['/...', ['...']],
    ['/?', ['']],
  ])('reads %s', (target, segments) => {
    expect(texts(target)).toEqual(segments);
  });

  it.each([
    ['no slash first', 'orders'],
    ['absolute form', 'http://x/orders'],
    ['asterisk form', '*'],
    ['nothing', ''],
    ['an empty segment', '//orders'],
    ['an empty segment inside', '/orders//17'],
    ['two slashes at the end', '/orders//'],
    ['a dot segment', '/./orders'],
    ['a dot segment at the end', '/orders/.'],
    ['two dots', '/public/../admin'],
    ['two dots at the end', '/public/..'],
    ['encoded dots', '/public/%2E%2E/admin'],
    ['encoded dots in lower case', '/public/%2e%2e/admin'],
    ['half encoded dots', '/public/.%2e/admin'],
    ['an encoded slash', '/orders%2F17'],
    ['an encoded slash in lower case', '/orders%2f17'],
    ['a doubly encoded slash', '/orders%252F17'],
    ['a backslash', '/orders\\17'],
    ['an encoded backslash', '/orders%5C17'],
    ['path parameters', '/admin;x=1'],
    ['path parameters at a dot segment', '/public/..;/admin'],
    ['an encoded semicolon', '/admin%3Bx'],
    ['an encoded question mark', '/admin%3Fx'],
    ['an encoded hash', '/admin%23x'],
    ['a fragment', '/admin#x'],
    ['a fragment in the query', '/admin?x#y'],
    ['an encoded letter', '/%61dmin'],
    ['hex digits in lower case', '/caf%c3%a9'],
    ['a cut-off encoding', '/a%4'],
    ['an encoding that is none', '/a%zz'],
    ['NUL', '/admin%00'],
    ['a raw NUL', '/admin\0'],
    ['a line break', '/admin%0D%0A'],
    ['DEL', '/admin%7F'],
    ['a raw space', '/a b'],
    ['a tab', '/a\tb'],
    ['raw bytes beyond ASCII', '/caf\u00c3\u00a9'],
    ['overlong UTF-8 of "/"', '/a%C0%AFb'],
    ['overlong UTF-8 of "."', '/%C0%AE%C0%AE/admin'],
    ['overlong UTF-8 of three bytes', '/a%E0%80%AFb'],
    ['a surrogate in UTF-8', '/%ED%A0%80'],
    ['a stray continuation byte', '/%80'],
    ['a cut-off character', '/%C3'],
    ['a C1 control', '/a%C2%85b'],
    ['a zero-width space', '/adm%E2%80%8Bin'],
    ['a right-to-left override', '/a%E2%80%AEb'],
    ['a byte order mark', '/%EF%BB%BFadmin'],
    ['a line separator', '/a%E2%80%A8b'],
    ['é as two characters', '/cafe%CC%81'],
    ['a full-width slash', '/a%EF%BC%8Fb'],
    ['full-width dots', '/%EF%BC%8E%EF%BC%8E/admin'],
    ['a two-dot leader', '/%E2%80%A5/admin'],
    ['a full-width percent sign', '/a%EF%BC%852Fb'],
    ['a space in the query', '/a?b c'],
    ['65 segments', '/a'.repeat(65)],
    ['8,193 characters', `/${'a'.repeat(8192)}`],
  ])('refuses %s', (_, target) => {
    expect(texts(target)).toBeTypeOf('string');
  });

  it('lets through nothing that a URL parser, or one decoding more, reads otherwise', () => {
    const letter = fc.constantFrom(...'aZ9.%2FfEeCc3A8;/\\ é@:?#'.split(''));
    fc.assert(
      fc.property(fc.array(letter, { maxLength: 12 }), (letters) => {
        const target = `/${letters.join('')}`;
        const read = readNormalPath(target);
        if (typeof read === 'string') return;
        for (const { raw, text } of read) {
          expect(text).not.toMatch(/[/\\%?#;\0]/);
          expect(['.', '..']).not.toContain(text);
          // A server that decodes once more gets the same.
          expect(decodeURIComponent(text)).toBe(text);
          expect(decodeURIComponent(raw)).toBe(text);
        }
        expect(new URL(target, 'http://x').pathname).toBe(`/${read.map(({ raw }) => raw).join('/')}`);
      }),
      { numRuns: 3000 },
    );
  });
});

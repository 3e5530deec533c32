import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { bytePath, bytePathOfText, isWithin, parentPath } from '../../src/base/byte-path.ts';
import { displayPath, escapeText } from '../../src/base/display.ts';
import { finding } from '../../src/base/finding.ts';

describe('escapeText', () => {
  it('leaves no control character, override or lone surrogate, and keeps texts apart', () => {
    const wild = fc.string({
      unit: fc.constantFrom(
        'a',
        '\\',
        '\n',
        '\u001b',
        '\u202e',
        '\ud800',
        'n',
        '\u200b',
        'é',
        '😀',
        'x',
        '1',
      ),
    });
    fc.assert(
      fc.property(wild, wild, (a, b) => {
        const shown = escapeText(a);
        expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e]/);
        expect(shown.isWellFormed()).toBe(true);
        expect(shown === escapeText(b)).toBe(a === b);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('displayPath', () => {
  it('attack 28: shows newline, escape sequences and overrides as escapes', () => {
    expect(displayPath(bytePathOfText('/tmp/a\nb\u001b[2Jc\u202ed'))).toBe('tmp/a\\nb\\x1b[2Jc\\u202ed');
  });
  it('attack 27: shows bytes that are not UTF-8 as hexadecimal, and a finding keeps the raw bytes', () => {
    const path = bytePath(Buffer.from([0x61, 0xff, 0x2f, 0xc3, 0x28]));
    expect(displayPath(path)).toBe('a\\xff/\\xc3(');
    expect(finding(path, 'unexpected', '', 'type=file', '2026-01-01T00:00:00Z')).toMatchObject({
      path: '/a\\xff/\\xc3(',
      pathBase64: Buffer.from([0x61, 0xff, 0x2f, 0xc3, 0x28]).toString('base64'),
    });
  });
  it('attack 29: keeps names apart that differ in case or normal form', () => {
    const shown = ['/é', '/e\u0301', '/E'].map((p) => displayPath(bytePathOfText(p)));
    expect(new Set(shown).size).toBe(3);
  });
});

describe('byte paths', () => {
  it('isWithin compares whole components', () => {
    expect(isWithin(bytePathOfText('/usr/lib'), bytePathOfText('/usr'))).toBe(true);
    expect(isWithin(bytePathOfText('/usrlib'), bytePathOfText('/usr'))).toBe(false);
    expect(isWithin(bytePathOfText('/usr'), bytePathOfText('/'))).toBe(true);
    expect(parentPath(bytePathOfText('/usr/lib'))).toBe('usr');
    expect(parentPath(bytePathOfText('/usr'))).toBe('');
  });
});

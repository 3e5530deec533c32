import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { HostError } from '../../../src/host/host-error.ts';
import { parseMountInfo } from '../../../src/host/mounts/mount-info.ts';
import { escape } from './mount-line.ts';

const parse = (text: string): ReturnType<typeof parseMountInfo> =>
  parseMountInfo(Buffer.from(text, 'latin1'));

/** A field's raw bytes, one code unit each; never NUL, as in any path. */
const bytes = fc
  .array(fc.integer({ min: 1, max: 255 }), { maxLength: 12 })
  .map((codes) => String.fromCharCode(...codes));
const word = fc.stringMatching(/^[a-z0-9=:]{1,8}$/);

describe('parseMountInfo', () => {
  it("reads the line of proc_pid_mountinfo(5)'s example", () => {
    const line = '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n';
    expect(parse(line)).toEqual([
      {
        id: 36,
        parent: 35,
        device: '98:0',
        root: '/mnt1',
        path: 'mnt2',
        options: ['rw', 'noatime'],
        type: 'ext3',
        source: '/dev/root',
        superOptions: ['rw', 'errors=continue'],
      },
    ]);
  });

  it("reads this machine's own table", () => {
    const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo'));
    expect(mounts.length).toBeGreaterThan(0);
  });

  it('reads any bytes in paths and sources, and any number of optional fields', () => {
    const line = fc.record({
      device: fc.tuple(fc.nat(4095), fc.nat(0xfffff)),
      root: bytes,
      path: bytes,
      options: fc.array(word, { minLength: 1, maxLength: 4 }),
      optional: fc.array(
        word.map((w) => `shared:${w}`),
        { maxLength: 3 },
      ),
      type: word,
      source: bytes,
    });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
        const text = lines
          .map(({ device, root, path, options, optional, type, source }, i) =>
            [
              `${i + 10} 1 ${device.join(':')} ${escape(root)} ${escape(`/${path}`)} ${options.join(',')}`,
              ...optional,
              `- ${type} ${escape(source)} rw\n`,
            ].join(' '),
          )
          .join('');
        expect(parse(text)).toEqual(
          lines.map(({ device, root, path, options, type, source }, i) => ({
            id: i + 10,
            parent: 1,
            device: device.join(':'),
            root,
            path,
            options,
            type,
            source,
            superOptions: ['rw'],
          })),
        );
      }),
    );
  });

  it('never throws anything but a HostError, whatever the bytes', () => {
    const anyLine = fc.array(fc.oneof(bytes, fc.constantFrom('-', '/', '1', '8:1', '')), { maxLength: 14 });
    fc.assert(
      fc.property(fc.array(anyLine, { maxLength: 4 }), (lines) => {
        try {
          parse(lines.map((fields) => `${fields.join(' ')}\n`).join(''));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(HostError);
          expect(thrown).toMatchObject({ code: 'answer-malformed' });
        }
      }),
    );
  });

  it.each([
    ['a line without a hyphen', '36 35 98:0 / / rw ext3 /dev/root rw\n'],
    ['too few fields after it', '36 35 98:0 / / rw - ext3 none\n'],
    ['an id that is no number', 'x 35 98:0 / / rw - ext3 none rw\n'],
    ['a device that is no pair', '36 35 98 / / rw - ext3 none rw\n'],
    ['a path that is not absolute', '36 35 98:0 / mnt rw - ext3 none rw\n'],
    ['an id twice', '36 35 98:0 / / rw - ext3 none rw\n36 35 98:0 / /a rw - ext3 none rw\n'],
    ['a last line that was cut off', '36 35 98:0 / / rw - ext3 none rw\n37 35 98:0 / /a rw - ext3 none rw'],
  ])('refuses %s', (_, text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'answer-malformed' }));
  });
});

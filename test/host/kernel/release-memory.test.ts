import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { pagesOfFiles, releaseMemory } from '../../../src/host/kernel/release-memory.ts';

/** One mapping as proc_pid_smaps(5) shows it, without the fields that nobody looks at. */
const mapping = (head: string, anonymous: number): string =>
  `${head}\nSize:   4 kB\nRss:   4 kB\nAnonymous:   ${anonymous} kB\nVmFlags: rd mr mw me sd\n`;

describe('pagesOfFiles', () => {
  const code = '5600a000-5600c000 r-xp 00002000 fe:00 1234   /usr/bin/sealborn';

  it('finds code and constants of a file', () => {
    const constants = '5600c000-5600d000 r--p 00004000 fe:00 1234   /usr/bin/sealborn';
    expect(pagesOfFiles(mapping(code, 0) + mapping(constants, 0))).toEqual([
      { start: 0x5600a000n, bytes: 0x2000n },
      { start: 0x5600c000n, bytes: 0x1000n },
    ]);
  });

  it.for([
    ['pages of the process itself, such as the linker wrote', mapping(code, 8)],
    ['what is writable', mapping(code.replace('r-xp', 'rw-p'), 0)],
    ['what may be written into the file', mapping(code.replace('r-xp', 'r--s'), 0)],
    ['what is no file', mapping('7f000000-7f001000 r-xp 00000000 00:00 0 ', 0)],
    ['memory that no one may read', mapping(code.replace('r-xp', '---p'), 0)],
    ['nothing', ''],
  ] as const)('leaves %s', ([, smaps]) => {
    expect(pagesOfFiles(smaps)).toEqual([]);
    // Nor does it make a part of what stands behind it.
    expect(pagesOfFiles(smaps + mapping(code, 0))).toEqual([{ start: 0x5600a000n, bytes: 0x2000n }]);
  });
});

describe('releaseMemory', () => {
  const residentKilobytes = (): number =>
    Number(/^RssFile:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);

  it('gives back pages of the program, which goes on', async () => {
    const before = residentKilobytes();
    await releaseMemory();
    expect(residentKilobytes()).toBeLessThan(before - 5000);
    expect(JSON.parse('{"a": [1, 2]}')).toEqual({ a: [1, 2] });
  });
});

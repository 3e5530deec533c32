import { describe, expect, it } from 'vitest';

import type { BytePath } from '../../../src/base/byte-path.ts';
import { createMountTable } from '../../../src/host/mounts/mount-table.ts';
import { parseMountInfo } from '../../../src/host/mounts/mount-info.ts';
import { mountLine, parsed } from './mount-line.ts';

const path = (text: string): BytePath => text as BytePath;

describe('createMountTable', () => {
  it('leads a path to the mount that is nearest above it', () => {
    const table = createMountTable(parsed({ id: 2, path: '/usr' }, { id: 3, parent: 2, path: '/usr/lib/x' }));
    const at = (text: string): number | undefined => table.at(path(text))?.id;
    expect([at(''), at('etc'), at('usr'), at('usr/lib'), at('usr/lib/x/y'), at('usr2')]).toEqual([
      1, 1, 2, 2, 3, 1,
    ]);
  });

  it('leads past what is stacked, and knows what that covers', () => {
    const mounts = parsed(
      { id: 2, path: '/usr' },
      { id: 3, parent: 2, path: '/usr' },
      { id: 4, parent: 3, path: '/usr' },
    );
    const table = createMountTable(mounts);
    const top = table.at(path('usr/bin'));
    expect(top?.id).toBe(4);
    expect(mounts.map((mount) => table.isVisible(mount))).toEqual([true, false, false, true]);
    expect(top === undefined ? [] : table.below(top).map(({ id }) => id)).toEqual([3, 2]);
  });

  it('sees nothing of a mount whose way is mounted over', () => {
    const mounts = parsed({ id: 2, path: '/a/b' }, { id: 3, path: '/a' });
    const table = createMountTable(mounts);
    expect(table.at(path('a/b'))?.id).toBe(3);
    expect(mounts.map((mount) => table.isVisible(mount))).toEqual([true, false, true]);
  });

  it('says to which object a path leads, through whatever binds', () => {
    const table = createMountTable(
      parsed(
        { id: 2, path: '/usr', root: '/usr', device: '8:1' },
        { id: 3, parent: 2, path: '/usr/bin/env', root: '/tmp/copy', device: '8:1' },
        { id: 4, path: '/data', root: '/', device: '0:40' },
      ),
    );
    expect(table.placeOf(path('usr/lib'))).toBe('8:1 /usr/lib');
    expect(table.placeOf(path('etc'))).toBe('8:1 /etc');
    expect(table.placeOf(path('usr/bin/env'))).toBe('8:1 /tmp/copy');
    expect(table.placeOf(path('data'))).toBe('0:40 /');
  });

  it('reads the table of a chroot that is no mount point', () => {
    const lines = mountLine({ id: 7, parent: 1, path: '/proc', type: 'proc' });
    const table = createMountTable(parseMountInfo(Buffer.from(lines)));
    expect(table.at(path(''))).toBeUndefined();
    expect(table.at(path('proc/1'))?.id).toBe(7);
  });

  it('stands a mount that is its own parent, as the first of all is', () => {
    const lines = mountLine({ id: 1, parent: 1, path: '/' }) + mountLine({ id: 2, parent: 1, path: '/' });
    const table = createMountTable(parseMountInfo(Buffer.from(lines)));
    const top = table.at(path('etc'));
    expect(top?.id).toBe(2);
    expect(top === undefined ? [] : table.below(top).map(({ id }) => id)).toEqual([1]);
  });
});

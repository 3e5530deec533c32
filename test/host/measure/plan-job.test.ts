import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { LAST_RANK, rankEntries } from '../../../src/host/measure/boot-order.ts';
import { type MeasureJob, PART_NUMBERS } from '../../../src/host/measure/measure-job.ts';
import { planJob } from '../../../src/host/measure/plan-job.ts';
import type { Entry } from '../../../src/manifest/entry.ts';
import { formatManifest } from '../../../src/manifest/format.ts';
import { type PackedTree, TYPE_DIR, findPath, pathOf } from '../../../src/manifest/packed-tree.ts';
import { parseManifest } from '../../../src/manifest/parse.ts';
import type { BytePath } from '../../../src/base/byte-path.ts';
import { dir, file } from '../../manifest/samples.ts';

/** A tree with these files and the directories that they need. */
function treeOf(files: readonly { path: string; size: number }[]): PackedTree {
  const entries = new Map<string, Entry>([['', dir('')]]);
  for (const { path, size } of files) {
    const parts = path.split('/');
    for (let i = 1; i < parts.length; i += 1) {
      const above = parts.slice(0, i).join('/');
      entries.set(above, dir(above));
    }
    entries.set(path, { ...file(path), size });
  }
  return parseManifest(formatManifest(entries.values())).tree;
}

const plan = (tree: PackedTree, workers = 2): MeasureJob =>
  planJob(tree, new Uint8Array(tree.count), { absent: [], files: new Map() }, workers);

/** Paths in the order in which one thread would read them; a directory stands where it is listed. */
function order({ tree, parts, units }: MeasureJob): string[] {
  const out: string[] = [];
  for (let unit = 0; unit < units.length; unit += 2) {
    for (let part = units[unit] ?? 0; part < (units[unit + 1] ?? 0); part += 1) {
      const at = part * PART_NUMBERS;
      if (parts[at + 3] === 1) out.push(`${pathOf(tree, parts[at] ?? 0)}/`);
      for (let child = parts[at + 1] ?? 0; child < (parts[at + 2] ?? 0); child += 1) {
        const index = tree.childList[child] ?? 0;
        if (tree.type[index] !== TYPE_DIR) out.push(pathOf(tree, index));
      }
    }
  }
  return out;
}

describe('planJob', () => {
  test('reads what matters most first: the agent, the loader, who gets in, what is started', () => {
    const large = 500_000_000;
    const planned = order(
      plan(
        treeOf([
          { path: 'a/large', size: large },
          { path: 'etc/hosts', size: 1 },
          { path: 'etc/opt/other', size: 1 },
          { path: 'etc/pam.d/sshd', size: 1 },
          { path: 'etc/sudoers.d/README', size: 1 },
          { path: 'etc/systemd/system/x.service', size: 1 },
          { path: 'usr/bin/awk', size: large },
          { path: 'usr/bin/sealborn', size: 1 },
          { path: 'usr/bin/sudo', size: 1 },
          { path: 'usr/lib/sealborn/sealborn.js', size: 1 },
          { path: 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2', size: 1 },
          { path: 'usr/lib/x86_64-linux-gnu/libz.so.1', size: large },
          { path: 'usr/lib/x86_64-linux-gnu/security/pam_unix.so', size: 1 },
          { path: 'usr/sbin/sshd', size: 1 },
        ]),
      ),
    ).filter((path) => !path.endsWith('/'));
    expect(planned.slice(0, -4)).toEqual([
      'usr/lib/sealborn/sealborn.js',
      'usr/bin/sealborn',
      'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
      'etc/hosts',
      'etc/pam.d/sshd',
      'usr/lib/x86_64-linux-gnu/security/pam_unix.so',
      'etc/sudoers.d/README',
      'usr/bin/sudo',
      'usr/sbin/sshd',
      'etc/systemd/system/x.service',
    ]);
    expect(planned.slice(-4).sort()).toEqual([
      'a/large',
      'etc/opt/other',
      'usr/bin/awk',
      'usr/lib/x86_64-linux-gnu/libz.so.1',
    ]);
  });

  test('lists a directory that matters with its first file, so that what was added shows as early', () => {
    const planned = order(
      plan(
        treeOf([
          { path: 'a/x', size: 1 },
          { path: 'etc/sudoers.d/README', size: 1 },
        ]),
      ),
    );
    expect(planned.slice(0, 2)).toEqual(['etc/sudoers.d/', 'etc/sudoers.d/README']);
  });

  test('takes every entry once and lists every directory once, whatever the tree and the threads', () => {
    const name = fc.constantFrom(
      'a',
      'etc',
      'usr',
      'lib',
      'bin',
      'sudo',
      'sealborn',
      'ld-linux.so',
      'pam.d',
      'z',
    );
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    const size = fc.integer({ min: 0, max: 3_000_000 });
    const files = fc.array(fc.record({ path, size }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(files, fc.integer({ min: 1, max: 8 }), (all, workers) => {
        // A name is a file or a directory, not both.
        const kept = all.filter(({ path }) => !all.some((other) => other.path.startsWith(`${path}/`)));
        if (kept.length === 0) return;
        const tree = treeOf(kept);
        const wanted = Array.from({ length: tree.count }, (_, i) =>
          tree.type[i] === TYPE_DIR ? `${pathOf(tree, i)}/` : pathOf(tree, i),
        );
        expect(order(plan(tree, workers)).sort()).toEqual(wanted.sort());
      }),
    );
  });
});

describe('rankEntries', () => {
  test('takes a pattern with a star for files alone, one without for all below', () => {
    const tree = treeOf([
      { path: 'etc/cron.d/sub/x', size: 1 },
      { path: 'etc/opt/x', size: 1 },
      { path: 'usr/lib/ld-linux-dir/x', size: 1 },
    ]);
    const rank = (path: string): number => rankEntries(tree)[findPath(tree, path as BytePath)] ?? -1;
    expect(rank('etc/cron.d/sub/x')).toBeLessThan(LAST_RANK);
    expect(rank('etc/opt/x')).toBe(LAST_RANK);
    expect(rank('usr/lib/ld-linux-dir/x')).toBe(LAST_RANK);
  });
});

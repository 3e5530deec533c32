import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, inject, it } from 'vitest';

import { seal } from '../pipeline.ts';
import { skipped } from '../requirements.ts';
import { boot, type Machine } from './machine.ts';

/** What the kernel makes up while it is read, and what systemd keeps of each unit for that unit. */
const NOT_FILES = new Set(['/proc', '/sys', '/run/credentials', '/run/systemd/incoming']);
/** Where the container's own mounts lie over what the image has. */
const MOUNTED = ['/dev', '/proc', '/run', '/sys', '/tmp'];

describe.skipIf(skipped(inject('noContainer')))("the measuring half's sandbox", () => {
  const sealed = inject('sealed');

  it('hides no path of the image, nor of the running machine', async () => {
    const machine = await boot(sealed?.root ?? '');
    await machine.booted();
    const { image, running, count } = await hidden(machine);
    expect(image).toEqual([]);
    expect(running).toEqual([]);
    expect(count).toBeGreaterThan(3000);
    expect((await machine.run('sealborn', 'status')).status).toBe(0);
  });

  it.for([
    ['PrivateTmp=yes', '/tmp'],
    ['InaccessiblePaths=/usr/share/sealborn/haproxy', '/usr/share/sealborn/haproxy'],
  ])('would be caught with %s, by this test and by the measuring half itself', async ([setting, path]) => {
    if (sealed === undefined) throw new Error('no image was prepared');
    const machine = await boot(sealed.root, {
      alter: (root) => {
        const place = join(root, 'etc/systemd/system/sealborn-measure.service.d');
        mkdirSync(place);
        writeFileSync(join(place, 'hide.conf'), `[Service]\n${setting}\n`);
        seal(root, sealed.policy, 'production', sealed.keys);
      },
    });
    await machine.booted();
    const { image, running } = await hidden(machine);
    expect([...image, ...running]).toContain(path);
    const { stdout } = await machine.run('sealborn', 'status', '--json');
    const { state, drift } = JSON.parse(stdout) as { state: string; drift: { kind: string; path: string }[] };
    expect(state).toBe('drifted');
    expect(drift.map(({ kind, path }) => `${kind} ${path}`)).toContain(`overmounted ${path}`);
  });
});

type Hidden = { image: string[]; running: string[]; count: number };

/** Paths that lead the measuring half elsewhere: than in the image's directory, and than PID 1. */
async function hidden(machine: Machine): Promise<Hidden> {
  const measurer = machine.processOf('/usr/bin/sealborn measure');
  const seen = `/proc/${measurer}/root`;
  const elsewhere = (from: string, paths: readonly string[]): string[] =>
    // Asked for again, since files come and go while the machine runs.
    paths.filter((path) => {
      const there = fileAt(from, path);
      return there !== undefined && fileAt(seen, path) !== there && fileAt(from, path) === there;
    });
  const ofImage = pathsBelow(machine.root, new Set(MOUNTED));
  const init = `/proc/${machine.init()}/root`;
  return {
    image: elsewhere(
      machine.root,
      ofImage.filter((path) => !MOUNTED.includes(path)),
    ),
    running: elsewhere(
      init,
      pathsBelow(init, NOT_FILES).filter((path) => !NOT_FILES.has(path)),
    ),
    count: ofImage.length,
  };
}

/** Which file a path leads to: the file system's device and the inode there. */
function fileAt(root: string, path: string): string | undefined {
  const stat = lstatSync(join(root, path), { throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

/** Every path below `root`, itself included; of those in `closed` nothing below. */
function pathsBelow(root: string, closed: ReadonlySet<string>): string[] {
  const paths = ['/'];
  for (const path of paths) {
    if (closed.has(path) || !lstatSync(join(root, path), { throwIfNoEntry: false })?.isDirectory()) continue;
    paths.push(...readdirSync(join(root, path)).map((name) => join(path, name)));
  }
  return paths;
}

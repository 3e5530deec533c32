import { type SpawnSyncReturns, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ARM64 } from '../../../scripts/package/architecture.ts';
import { makePackage } from '../../../scripts/package/debian.ts';
import { fetchParts } from '../../../scripts/package/fetch-parts.ts';
import { VERSION } from '../../../src/base/version.ts';
import { hasProgram } from '../../support/has-program.ts';
import { bakeTrust, newKeys, policyRepository, seal } from '../pipeline.ts';
import { skipped, whyNot } from '../requirements.ts';

const NEEDED = {
  'binutils-aarch64-linux-gnu': 'aarch64-linux-gnu-strip',
  'dpkg-dev': 'dpkg-deb',
  git: 'git',
};
/** Debian's packages lib*-arm64-cross put the C and C++ libraries of arm64 here. */
const LIBRARIES = '/usr/aarch64-linux-gnu';
const EMULATOR = 'qemu-aarch64-static';
const EPOCH = 1_795_435_200;
/** e_machine of ELF: AArch64. */
const EM_AARCH64 = 183;

const canRun =
  hasProgram(EMULATOR) &&
  ['ld-linux-aarch64.so.1', 'libstdc++.so.6', 'libatomic.so.1'].every((name) =>
    existsSync(join(LIBRARIES, 'lib', name)),
  );

describe.skipIf(skipped(whyNot(NEEDED)))("the package for arm64, made of npm's parts", () => {
  let place: string;
  let deb: string;
  const root = (): string => join(place, 'root');
  const program = (): string => join(root(), 'usr/lib/sealborn/sealborn');
  const make = (out: string): Promise<string> =>
    makePackage({
      name: 'sealborn',
      architecture: ARM64,
      out: join(place, out),
      epoch: EPOCH,
      compression: 0,
    });
  const emulate = (...args: string[]): SpawnSyncReturns<string> =>
    spawnSync(EMULATOR, ['-L', LIBRARIES, program(), ...args], { encoding: 'utf8', env: {} });

  beforeAll(async () => {
    await fetchParts(ARM64);
    place = mkdtempSync(join(tmpdir(), 'sealborn-arm64-'));
    deb = await make('first');
    execFileSync('dpkg-deb', ['-x', deb, root()]);
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  it('says arm64, and holds programs for that processor alone', () => {
    const field = execFileSync('dpkg-deb', ['-f', deb, 'Architecture'], { encoding: 'utf8' });
    expect(field.trim()).toBe('arm64');
    for (const name of ['sealborn', 'koffi.node']) {
      const head = readFileSync(join(root(), 'usr/lib/sealborn', name)).subarray(0, 20);
      expect(head.subarray(0, 5).toString('latin1'), name).toBe('\x7fELF\x02');
      expect(head.readUInt16LE(18), name).toBe(EM_AARCH64);
    }
  });

  it('is the same bytes when built again', async () => {
    expect(readFileSync(await make('second')).equals(readFileSync(deb))).toBe(true);
  });

  it.skipIf(!hasProgram('lintian'))('pleases lintian', () => {
    const said = spawnSync('lintian', ['--allow-root', '--tag-display-limit=0', deb], { encoding: 'utf8' });
    expect(said.stdout).toBe('');
    expect(said.status).toBe(0);
  });

  it.skipIf(!canRun)(
    'runs in an emulated arm64: its version, and a verified image by threads and koffi',
    () => {
      expect(emulate('--version')).toMatchObject({ status: 0, stdout: `${VERSION}\n`, stderr: '' });
      const image = join(place, 'image');
      mkdirSync(join(image, 'usr/bin'), { recursive: true });
      for (const directory of ['dev', 'proc', 'run', 'sys', 'tmp', 'var']) mkdirSync(join(image, directory));
      for (let i = 0; i < 300; i += 1) writeFileSync(join(image, `usr/bin/tool-${i}`), `tool ${i}\n`);
      const keys = newKeys(join(place, 'release'));
      bakeTrust(image, keys);
      seal(image, policyRepository(join(place, 'policy')), 'production', keys);
      const share = join(image, 'usr/share/sealborn');
      const verify = (): SpawnSyncReturns<string> =>
        emulate('verify', `${share}/bundle`, '--trust', `${share}/trust.yaml`, '--root', image);
      expect(verify(), 'clean').toMatchObject({ status: 0 });
      writeFileSync(join(image, 'usr/bin/tool-7'), 'tool 8\n');
      const altered = verify();
      expect(altered).toMatchObject({ status: 1 });
      expect(altered.stdout).toContain('/usr/bin/tool-7');
    },
  );
});

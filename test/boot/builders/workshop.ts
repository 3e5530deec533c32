import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { project } from '../../../scripts/bundle.ts';
import { thisArchitecture } from '../../../scripts/package/architecture.ts';
import { makePackage } from '../../../scripts/package/debian.ts';
import { flipOneByte } from '../flip-one-byte.ts';
import { type Keys, newKeys, policyRepository } from '../pipeline.ts';

/** What a pipeline has at hand before it makes an image, in a directory of its own. */
export type Workshop = {
  place: string;
  /** sealborn's package. */
  deb: string;
  policy: string;
  keys: Keys;
  /** Runs a command with the pipeline's `sealborn` on the PATH. */
  run: (
    command: readonly string[],
    options?: { env?: Record<string, string>; cwd?: string },
  ) => SpawnSyncReturns<string>;
  /** Verifies an image by its own bundle and trust set, and again after one byte of a program was changed. */
  verify: (root: string) => { clean: SpawnSyncReturns<string>; altered: SpawnSyncReturns<string> };
  remove: () => void;
};

/** Makes them; `prepare` may change the policy repository before it is committed. */
export async function openWorkshop(measure: readonly string[] = []): Promise<Workshop> {
  const place = mkdtempSync(join(tmpdir(), 'sealborn-workshop-'));
  const bin = join(place, 'bin');
  mkdirSync(bin);
  const program = `#!/bin/sh\nexec "${process.execPath}" "${project('dist/sealborn.js')}" "$@"\n`;
  writeFileSync(join(bin, 'sealborn'), program);
  chmodSync(join(bin, 'sealborn'), 0o755);
  const run: Workshop['run'] = (command, { env = {}, cwd = place } = {}) => {
    const [name = '', ...args] = command;
    const path = `${bin}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
    return spawnSync(name, args, {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, ...env, PATH: path },
      maxBuffer: 64 * 1024 * 1024,
    });
  };
  return {
    place,
    deb: await makePackage({
      name: 'sealborn',
      architecture: thisArchitecture(),
      out: place,
      epoch: Math.floor(Date.now() / 1000),
      compression: 0,
    }),
    policy: policyRepository(join(place, 'policy'), measure),
    keys: newKeys(join(place, 'release')),
    run,
    verify: (root) => {
      const share = join(root, 'usr/share/sealborn');
      const verify = (): SpawnSyncReturns<string> =>
        run(['sealborn', 'verify', `${share}/bundle`, '--trust', `${share}/trust.yaml`, '--root', root]);
      const clean = verify();
      flipOneByte(join(root, 'usr/bin/dash'));
      return { clean, altered: verify() };
    },
    remove: () => rmSync(place, { recursive: true, force: true }),
  };
}

/** A copy of an example in the workshop, beside `seal-image`, as an operator would have it. */
export function copyExample({ place }: Workshop, name: string): string {
  const examples = join(place, 'examples');
  mkdirSync(examples, { recursive: true });
  cpSync(project('packaging/examples/seal-image'), join(examples, 'seal-image'));
  cpSync(project(`packaging/examples/${name}`), join(examples, name), { recursive: true });
  return join(examples, name);
}

/** Unpacks what a builder made, with everything that a file has. */
export function unpack({ place, run }: Workshop, archive: string): string {
  const root = mkdtempSync(join(place, 'unpacked-'));
  const kept = ['--preserve-permissions', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls'];
  const said = run(['tar', '--extract', `--file=${archive}`, `--directory=${root}`, ...kept]);
  if (said.status !== 0) throw new Error(said.stderr);
  return root;
}

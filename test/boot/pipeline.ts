import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { project } from '../../scripts/bundle.ts';

/** Runs a command of the pipeline, as a user of it would; gives what it printed. */
export function sealborn(...args: string[]): string {
  return execFileSync(process.execPath, [project('dist/sealborn.js'), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The example's policy repository with a commit of its own, rules for what is measured besides, and what may change. */
export function policyRepository(
  place: string,
  measure: readonly string[] = [],
  mutable: readonly string[] = [],
): string {
  cpSync(project('examples/payments'), place, { recursive: true });
  const settings = join(place, 'sealborn.yaml');
  const before = readFileSync(settings, 'utf8');
  // Rules for what is measured stand before the section "policy".
  const ruled = before.replace('\npolicy:\n', `${measure.join('\n')}\npolicy:\n`);
  const list = ['  mutable:', ...mutable.map((path) => `    - ${path}`), ''].join('\n');
  writeFileSync(settings, ruled.replace('  mutable:\n', list));
  const git = (...args: string[]): void => {
    const author = ['-c', 'user.name=Boot', '-c', 'user.email=boot@example.org'];
    execFileSync('git', ['-C', place, ...author, ...args], { stdio: 'ignore' });
  };
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'Access rules of the payments service');
  return place;
}

/** Where the bundle and the trust set lie in an image. */
export const BUNDLE = 'usr/share/sealborn/bundle';
export const TRUST = 'usr/share/sealborn/trust.yaml';

export type Keys = { key: string; pub: string };

/** A pair of keys to sign releases with; `name` is its path without an ending. */
export function newKeys(name: string): Keys {
  sealborn('key', 'new', name);
  return { key: `${name}.key`, pub: `${name}.pub` };
}

/** Bakes the trust set into the image; gives its pin. */
export function bakeTrust(root: string, { pub }: Keys): string {
  mkdirSync(join(root, 'usr/share/sealborn'), { recursive: true });
  rmSync(join(root, TRUST), { force: true });
  sealborn('trust', 'new', join(root, TRUST), '--environment', 'production', '--key', pub);
  return `sha256:${createHash('sha256')
    .update(readFileSync(join(root, TRUST)))
    .digest('hex')}`;
}

/** Tests the policy, builds a bundle of the image in its place in there, and signs it unless there is no key. */
export function seal(root: string, policy: string, environment: string, keys: Keys | undefined): void {
  const bundle = join(root, BUNDLE);
  rmSync(bundle, { recursive: true, force: true });
  sealborn('test', policy, '--environment', environment);
  sealborn('build', policy, '--root', root, '--environment', environment, '--out', bundle);
  if (keys !== undefined) sealborn('sign', bundle, '--key', keys.key);
}

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, onTestFinished } from 'vitest';

import { hasProgram } from '../support/has-program.ts';

const PACKAGING = fileURLToPath(new URL('../../packaging', import.meta.url));
const EXAMPLES = join(PACKAGING, 'examples');

/** Every file below packaging/ whose first line calls a shell. */
function shellScripts(): string[] {
  return readdirSync(PACKAGING, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => readFileSync(file, 'latin1').startsWith('#!/bin/sh\n'));
}

/** Later versions have other settings. */
function hasMkosi14(): boolean {
  return spawnSync('mkosi', ['--version'], { encoding: 'utf8' }).stdout === 'mkosi 14\n';
}

describe('the examples', () => {
  it.skipIf(!hasProgram('shellcheck'))('and the maintainer scripts pass shellcheck', () => {
    const scripts = shellScripts();
    expect(scripts.length).toBeGreaterThan(10);
    const said = spawnSync('shellcheck', scripts, { encoding: 'utf8' });
    expect(said.stdout).toBe('');
    expect(said.status).toBe(0);
  });

  it.for(['debootstrap', 'docker', 'mkosi', 'packer'])('%s: has a page that fits on a screen', (name) => {
    const lines = readFileSync(join(EXAMPLES, name, 'README.md'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(lines.length).toBeGreaterThan(15);
    expect(lines.length).toBeLessThan(50);
  });

  it.for(['seal-image', 'debootstrap/build-image'])(
    '%s: says how to call it, and does nothing else',
    (name) => {
      const said = spawnSync(join(EXAMPLES, name), [], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } });
      expect(said).toMatchObject({ status: 64, stdout: '' });
      expect(said.stderr).toMatch(new RegExp(`^${name.split('/').at(-1) ?? ''} [A-Z]`));
      expect(said.stderr).not.toContain('set -eu');
    },
  );

  it.skipIf(!hasProgram('packer'))("packer: its template is one that Packer's builders take", () => {
    const place = mkdtempSync(join(tmpdir(), 'sealborn-packer-'));
    onTestFinished(() => rmSync(place, { recursive: true, force: true }));
    for (const name of ['sealborn.deb', 'pipeline.tar', 'policy.tar', 'release.pub']) {
      writeFileSync(join(place, name), '');
    }
    const validate = (region: string): string => {
      const variables = [
        `package=${place}/sealborn.deb`,
        `pipeline=${place}/pipeline.tar`,
        `policy=${place}/policy.tar`,
        `key=${place}/release`,
        region,
      ].flatMap((one) => ['-var', one]);
      const said = spawnSync('packer', ['validate', ...variables, join(EXAMPLES, 'packer')], {
        encoding: 'utf8',
        cwd: place,
        env: { PATH: process.env['PATH'], HOME: place, CHECKPOINT_DISABLE: '1' },
      });
      return said.status === 0 ? 'good' : said.stdout + said.stderr;
    };
    expect(validate('region=eu-central-1')).toBe('good');
    expect(validate('regoin=eu-central-1')).toContain('regoin');
  });

  it.skipIf(!hasMkosi14())('mkosi: its settings are ones that mkosi 14 takes', () => {
    const said = spawnSync('mkosi', ['summary'], { cwd: join(EXAMPLES, 'mkosi'), encoding: 'utf8' });
    const summary = said.stdout + said.stderr;
    expect(said.status, summary).toBe(0);
    expect(summary).toMatch(/Finalize Script: .*\/mkosi\.finalize/);
    expect(summary).toMatch(/Output Format: tar/);
    expect(summary).toMatch(/Script Environment: POLICY=/);
  });
});

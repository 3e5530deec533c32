import { type SpawnSyncReturns, execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { VERSION } from '../../src/base/version.ts';
import { thisArchitecture } from '../../scripts/package/architecture.ts';
import { makePackage } from '../../scripts/package/debian.ts';
import { canBuild } from './built-program.ts';

const EPOCH = 1_795_435_200;
const NAMES = ['sealborn', 'sealborn-collector'] as const;

function has(program: string): boolean {
  if (spawnSync('sh', ['-c', `command -v ${program}`]).status === 0) return true;
  process.stderr.write(`skipped: ${program} is not installed\n`);
  return false;
}

describe.skipIf(!canBuild() || !has('dpkg-deb'))('the Debian packages', () => {
  let place: string;
  const root = (name: string): string => join(place, name);
  const run = (command: string, args: string[]): SpawnSyncReturns<string> =>
    spawnSync(command, args, { encoding: 'utf8', env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' } });
  const make = (name: (typeof NAMES)[number], out: string): Promise<string> =>
    makePackage({
      name,
      architecture: thisArchitecture(),
      out: join(place, out),
      epoch: EPOCH,
      compression: 0,
    });
  let files: string[];

  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'sealborn-deb-'));
    files = [];
    for (const name of NAMES) {
      const file = await make(name, 'first');
      files.push(file);
      execFileSync('dpkg-deb', ['-x', file, root(name)]);
    }
  }, 240_000);
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  it('lay files where the contracts say, owned by root, the program with its koffi.node beside it', () => {
    const listed = execFileSync('dpkg-deb', ['-c', files[0]!], { encoding: 'utf8' }).trimEnd().split('\n');
    expect(listed.filter((line) => !line.includes(' root/root '))).toEqual([]);
    for (const path of [
      'usr/lib/sealborn/sealborn',
      'usr/lib/sealborn/koffi.node',
      'etc/sealborn/agent.yaml',
      'usr/lib/systemd/system/sealborn-measure.service',
      'usr/lib/systemd/system/sealborn-decide-ndjson.socket',
      'usr/lib/sysusers.d/sealborn.conf',
      'usr/lib/tmpfiles.d/sealborn.conf',
      'usr/share/sealborn/haproxy/sealborn.lua',
      'usr/share/man/man1/sealborn-status.1.gz',
      'usr/share/doc/sealborn/examples/drift/power-off.service',
    ]) {
      expect(lstatSync(join(root('sealborn'), path)).isFile(), path).toBe(true);
    }
    expect(readlinkSync(join(root('sealborn'), 'usr/bin/sealborn'))).toBe('../lib/sealborn/sealborn');
    const writable = readdirSync(root('sealborn'), { recursive: true, encoding: 'utf8' }).filter((path) => {
      const stat = lstatSync(join(root('sealborn'), path));
      return !stat.isSymbolicLink() && (stat.mode & 0o7022) !== 0;
    });
    expect(writable).toEqual([]);
  });

  it('hold programs that run from where they lie', () => {
    expect(run(join(root('sealborn'), 'usr/bin/sealborn'), ['--version']).stdout).toBe(`${VERSION}\n`);
    const collector = join(root('sealborn-collector'), 'usr/bin/sealborn-collector');
    expect(run(collector, ['--version']).stdout).toBe(`${VERSION}\n`);
    expect(run(collector, ['--database', '/proc/nothing.db'])).toMatchObject({ signal: null });
    expect(run(collector, ['--help']).stdout).toContain('sealborn-collector --database');
    expect(run(collector, [])).toMatchObject({ status: 64 });
  });

  it('are the same bytes when built again', async () => {
    const digest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
    for (const [index, name] of NAMES.entries()) {
      expect(digest(await make(name, 'second')), name).toBe(digest(files[index]!));
    }
  }, 240_000);

  it.skipIf(!has('lintian'))(
    'please lintian, and no override is unused',
    () => {
      const said = run('lintian', ['--allow-root', '--tag-display-limit=0', ...files]);
      expect(said.stdout).toBe('');
      expect(said.status).toBe(0);
    },
    300_000,
  );

  it.skipIf(!has('mandoc'))('have a manual page for every verb that mandoc can read', () => {
    const directory = join(root('sealborn'), 'usr/share/man/man1');
    const pages = readdirSync(directory);
    expect(pages).toContain('sealborn-log-verify.1.gz');
    for (const page of pages) {
      const text = execFileSync('gzip', ['-dc', join(directory, page)]);
      const said = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], { input: text, encoding: 'utf8' });
      expect(
        said.stdout.replaceAll(/^.*(?:nothing before|missing section|referenced manual).*\n/gm, ''),
        page,
      ).toBe('');
    }
  });

  it('complete verbs and flags in bash', () => {
    const script = join(root('sealborn'), 'usr/share/bash-completion/completions/sealborn');
    const complete = (...words: string[]): string =>
      execFileSync(
        'bash',
        [
          '-c',
          `source ${script}; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sealborn; echo "\${COMPREPLY[*]}"`,
          'bash',
          ...words,
        ],
        { encoding: 'utf8' },
      ).trim();
    expect(complete('sealborn', 'st')).toBe('status');
    expect(complete('sealborn', 'log', 've')).toBe('verify');
    expect(complete('sealborn', 'status', '--w')).toBe('--wait');
    expect(complete('sealborn', 'status', '--json', '--so')).toBe('--socket');
  });

  it.skipIf(!has('zsh'))('have completions that zsh can read', () => {
    const script = join(root('sealborn'), 'usr/share/zsh/vendor-completions/_sealborn');
    expect(run('zsh', ['-n', script])).toMatchObject({ status: 0, stderr: '' });
  });

  it.skipIf(!has('fish'))('complete verbs and flags in fish', () => {
    const script = join(root('sealborn'), 'usr/share/fish/vendor_completions.d/sealborn.fish');
    const complete = (line: string): string =>
      execFileSync('fish', ['-c', `source ${script}; complete -C "${line}"`], {
        encoding: 'utf8',
        env: { ...process.env, HOME: place },
      });
    expect(complete('sealborn log ')).toMatch(/^show\t.*\nverify\t/m);
    expect(complete('sealborn status --')).toContain('--wait');
  });
});

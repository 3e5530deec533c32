// What bench/verify.ts compares a check with: others that read or hash the same files, each timed in seconds.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A contender: what it is called, and a run of it that takes so many seconds. */
export type Contender = { name: string; run: () => Promise<number> };

/** What contenders are given: the tree, a NUL-separated list of its files, and a place for files of their own. */
export type Ground = { root: string; list: string; directory: string; workers: number };

/** Reading the files into nowhere with 2, 8 and 32 processes: the best of these is the floor. */
export function cats({ list, workers }: Ground): Contender[] {
  return [...new Set([workers, 2, 8, 32])].map((count) => ({
    name: `cat, ${count} processes`,
    run: () => overFiles(list, count, ['cat']),
  }));
}

/** Programs that hash every file and compare nothing. */
export function hashers({ list, workers }: Ground): Contender[] {
  const all: [string, string[]][] = [
    ['sha256sum', ['sha256sum', '--']],
    ['openssl dgst', ['openssl', 'dgst', '-sha256']],
  ];
  return all
    .filter(([, [program = '']]) => isInstalled(program))
    .map(([name, command]) => ({
      name: `${name}, ${workers} processes`,
      run: () => overFiles(list, workers, command),
    }));
}

export const AIDE_CHECK = 'aide --check';

/** Checkers that take long: init and check of AIDE with the same attributes, mtree, debsums. Each runs once. */
export function checkers(ground: Ground, mtreeManifest: string): Contender[] {
  const { root, directory } = ground;
  const all: Contender[] = [];
  if (isInstalled('aide')) {
    const config = join(directory, 'aide.conf');
    writeFileSync(config, aideConfig(ground));
    for (const step of ['--init', '--check']) {
      // Codes from 14 up are errors (aide(1)); below that, bits for what was added, removed and changed.
      all.push({ name: `aide ${step}`, run: () => timed('aide', [step, '--config', config], 13) });
    }
  }
  if (isInstalled('mtree')) {
    all.push({ name: 'mtree -f', run: () => timed('mtree', ['-f', mtreeManifest, '-p', root], 2) });
  }
  if (isInstalled('debsums') && (root === '/usr' || root === '/')) {
    all.push({ name: 'debsums (MD5, one thread)', run: () => timed('debsums', ['--silent'], 2) });
  }
  return all;
}

/** Installs Debian's packages of those that are missing, where that is possible; says what is left out. */
export function installMissing(note: (text: string) => void): void {
  const wanted = { aide: 'aide', mtree: 'mtree-netbsd', debsums: 'debsums' };
  for (const [program, name] of Object.entries(wanted)) {
    if (isInstalled(program)) continue;
    try {
      if (process.getuid?.() !== 0) throw new Error('only root can install it');
      note(`installing ${name} ...`);
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
      execFileSync('apt-get', ['install', '-y', '--no-install-recommends', name], { stdio: 'ignore', env });
    } catch {
      note(`${program} is not there and could not be installed: left out`);
    }
  }
}

function aideConfig({ root, directory, workers }: Ground): string {
  const database = join(directory, 'aide.db');
  return [
    `database_in=file:${database}`,
    `database_out=file:${database}`,
    'gzip_dbout=no',
    'report_url=file:/dev/null',
    `num_workers=${workers}`,
    'Same = ftype+p+u+g+n+s+l+acl+xattrs+sha256',
    `${root} Same`,
    '',
  ].join('\n');
}

/** Runs a command over the listed files, 256 at a time, so many at once. */
async function overFiles(list: string, count: number, command: string[]): Promise<number> {
  const names = openSync(list, 'r');
  try {
    return await timed('xargs', ['-0', `-P${count}`, '-n256', ...command], 0, names);
  } finally {
    closeSync(names);
  }
}

async function timed(
  program: string,
  args: string[],
  mostCode: number,
  stdin: number | 'ignore' = 'ignore',
): Promise<number> {
  const started = performance.now();
  const child = spawn(program, args, { stdio: [stdin, 'ignore', 'ignore'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === null || code > mostCode) throw new Error(`${program} ${args[0] ?? ''} failed with ${code}`);
  return (performance.now() - started) / 1000;
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

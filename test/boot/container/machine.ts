import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { until } from '../../agent/until.ts';
import { leaveGroups, startScript } from './container-start.ts';
import { spawnMortal } from '../mortal.ts';
import { type Host, makeNeighbourhood } from './neighbourhood.ts';

/** Long enough for a boot on a machine that is busy; what is waited for comes in a few seconds otherwise. */
const PATIENCE_MS = 90_000;

/** Asks again and again until it is so. */
export async function patiently<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  return until(what, look, PATIENCE_MS);
}

export type Said = { status: number; stdout: string; stderr: string };

/** A container that systemd boots from a copy of an image, and what can be learnt from it. */
export type Machine = {
  /** The copy's directory, as the host sees it. */
  root: string;
  /** Runs a command inside as root. */
  run: (...command: string[]) => Promise<Said>;
  /** The same in a shell; throws where it fails. */
  shell: (script: string) => Promise<string>;
  /** The process, by the host's number, that is 1 inside. */
  init: () => number;
  /** The host's number of a process of PID 1's, by its command line. */
  processOf: (command: string) => number;
  /** The status of the health check; 0 where nobody answers. */
  health: () => Promise<number>;
  /** What the collector knows of this machine. */
  host: () => Promise<Host | undefined>;
  /** Waits until the boot is over: the gate has said yes or no, and systemd has nothing left to do. */
  booted: () => Promise<void>;
  isActive: (unit: string) => Promise<boolean>;
  /** False once it has powered itself off. */
  isRunning: () => boolean;
  /** Every state that the measuring half has been in since this boot, in order, once the last of them is this one. */
  states: (last: string) => Promise<string[]>;
  /** Restarts the whole machine from inside, and waits until it is booted again. */
  reboot: () => Promise<void>;
};

/** Copies the image, lets `alter` change the copy, and boots it. It is gone when the test is finished. */
export async function boot(
  image: string,
  options: { alter?: (root: string) => void; pin?: string } = {},
): Promise<Machine> {
  const place = mkdtempSync(join(tmpdir(), 'sealborn-boot-'));
  const clean = [async (): Promise<void> => rmSync(place, { recursive: true, force: true })];
  onTestFinished(async () => {
    for (const step of clean.toReversed()) await step();
  });
  const root = join(place, 'root');
  execFileSync('cp', ['-a', '--reflink=auto', image, root]);
  options.alter?.(root);
  mkdirSync(join(place, 'doors'));
  const around = await makeNeighbourhood(join(place, 'doors'));
  clean.push(around.stop);

  const group = `sealborn-boot-${process.pid}-${place.slice(-6)}`;
  const pin = options.pin === undefined ? [] : [`--set-credential=sealborn.trust:${options.pin}`];
  const script = startScript(group);
  // In a PID namespace of its own, so that nothing inside outlives this process.
  const outer = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const container = spawnMortal(
    'nsenter',
    [`--net=${around.network}`, ...outer].concat('sh', '-c', script, 'sh', `--directory=${root}`, ...pin),
  );
  let console = '';
  for (const stream of [container.stdout, container.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => (console = (console + part).slice(-10_000)));
  }
  let leader = 0;
  clean.push(async () => {
    if (container.exitCode === null && container.signalCode === null) {
      container.kill('SIGKILL');
      await once(container, 'exit');
    }
    await until('the container is gone', () => leaveGroups(group), PATIENCE_MS);
  });

  const waitFor = async <T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> => {
    try {
      return await until(
        what,
        () => {
          if (container.exitCode !== null) throw new Error('the container ended');
          return look();
        },
        PATIENCE_MS,
      );
    } catch (thrown) {
      throw new Error(`${what}: the console said\n${console}`, { cause: thrown });
    }
  };
  const untilInit = async (before: number): Promise<void> => {
    leader = await waitFor('PID 1', async () => systemdOf(container.pid ?? 0, before));
  };
  const run = (...command: string[]): Promise<Said> => enter(leader, command);
  const isActive = async (unit: string): Promise<boolean> =>
    (await run('systemctl', 'is-active', '--quiet', unit)).status === 0;
  const booted = async (): Promise<void> => {
    await waitFor('the boot is over', async () => {
      const { stdout } = await run('systemctl', 'is-system-running', '--wait');
      return stdout === 'running\n' || stdout === 'degraded\n';
    });
  };
  await untilInit(0);
  return {
    root,
    run,
    shell: async (script) => {
      const said = await run('sh', '-ec', script);
      if (said.status !== 0) throw new Error(`"${script}" failed: ${said.stderr}`);
      return said.stdout;
    },
    init: () => leader,
    processOf: (command) => {
      const found = childrenOf(leader).find(
        (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() === command,
      );
      if (found === undefined) throw new Error(`"${command}" does not run`);
      return found;
    },
    health: around.health,
    host: around.host,
    booted,
    isActive,
    isRunning: () => container.exitCode === null && container.signalCode === null,
    states: (last) =>
      waitFor(`the journal says ${last}`, async () => {
        const unit = '--unit=sealborn-measure.service';
        const { stdout } = await run('journalctl', '--boot', '--output=cat', unit);
        const states = [...stdout.matchAll(/"code":"state","state":"(\w+)"/g)].map(
          ([, state]) => state ?? '',
        );
        return states.at(-1) === last ? states : undefined;
      }),
    reboot: async () => {
      const before = leader;
      await run('systemctl', 'reboot');
      await untilInit(before);
      await booted();
    },
  };
}

/** The container's PID 1, once systemd runs in it: below unshare, the shell and nspawn. */
function systemdOf(outer: number, before: number): number | undefined {
  try {
    return childrenOf(outer)
      .flatMap(childrenOf)
      .flatMap(childrenOf)
      .find((pid) => pid !== before && readFileSync(`/proc/${pid}/comm`, 'latin1') === 'systemd\n');
  } catch {
    return undefined; // one that ended meanwhile
  }
}

function childrenOf(pid: number): number[] {
  const listed = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  return listed === '' ? [] : listed.split(' ').map(Number);
}

async function enter(leader: number, command: readonly string[]): Promise<Said> {
  const { promise, resolve } = Promise.withResolvers<Said>();
  const args = ['--target', String(leader), '--all', '--', ...command];
  // systemd's way to say that whoever runs is no terminal: nothing is paged or coloured.
  const env = { PATH: '/usr/sbin:/usr/bin', LC_ALL: 'C.UTF-8', SYSTEMD_COLORS: '0' };
  execFile('nsenter', args, { encoding: 'utf8', env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) =>
    resolve({
      status: error === null ? 0 : typeof error.code === 'number' ? error.code : 255,
      stdout,
      stderr,
    }),
  );
  return promise;
}

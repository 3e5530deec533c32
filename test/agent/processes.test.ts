import { readFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { latchPath } from '../../src/agent/latch.ts';
import { line, port, start } from './agent-process.ts';
import { type SealedMachine, ask, health, sealMachine, status, untilState } from './sealed-machine.ts';
import { until } from './until.ts';

function socketOf(machine: SealedMachine): string {
  return `${machine.settings().runDirectory}/decide.sock`;
}

function isAlive(pid: unknown): boolean {
  try {
    // One that ended and was not collected by its parent yet is a zombie: state Z (proc_pid_stat(5)).
    return !/\) Z /.test(readFileSync(`/proc/${pid as number}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

describe('sealborn measure and sealborn serve, as processes', () => {
  it('end trust at once when the measuring half is killed, and are still drifted after drift was undone (attacks, row 47)', async () => {
    const machine = await sealMachine();
    const serving = await start(machine, 'serve');
    const measuring = await start(machine, 'measure');
    const healthPort = await port(serving);
    const socket = socketOf(machine);
    await untilState(socket, 'trusted');
    expect(await health(healthPort)).toMatchObject({ status: 200 });
    expect(await ask(socket)).toMatchObject({ decision: true });

    measuring.child.kill('SIGKILL');
    await untilState(socket, 'starting', 2000);
    expect(await health(healthPort)).toMatchObject({ status: 503 });
    expect(await ask(socket)).toMatchObject({ decision: false, context: { reason: 'not-trusted' } });

    const second = await start(machine, 'measure');
    await untilState(socket, 'trusted');
    const undo = await machine.tamper();
    await untilState(socket, 'drifted');
    second.child.kill('SIGKILL'); // the moment it shows
    await second.ended;
    await undo();
    expect(await status(socket)).toMatchObject({ state: 'drifted' });
    const third = await start(machine, 'measure');
    const latched = await until('the verdict of the third', async () => {
      const said = await status(socket);
      return JSON.stringify(said['reason']).includes('"latched"') && said;
    });
    expect(latched).toMatchObject({ state: 'drifted', driftTotal: 1 });
    expect(await health(healthPort)).toMatchObject({ status: 503 });

    for (const { child, ended } of [serving, third]) {
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    }
    expect(await readdir(machine.settings().runDirectory)).toEqual(['drift']);
  });

  it('end trust within about five seconds when the measuring half stops, and find it again', async () => {
    const machine = await sealMachine();
    const serving = await start(machine, 'serve');
    const measuring = await start(machine, 'measure');
    const socket = socketOf(machine);
    await untilState(socket, 'trusted');
    const stopped = performance.now();
    measuring.child.kill('SIGSTOP');
    const said = await untilState(socket, 'starting');
    const seconds = (performance.now() - stopped) / 1000;
    expect(said['reason']).toMatchObject({ code: 'measurer-silent' });
    expect(seconds).toBeGreaterThan(3.5);
    expect(seconds).toBeLessThan(7);
    expect(await health(await port(serving))).toMatchObject({ status: 503 });
    measuring.child.kill('SIGCONT');
    await untilState(socket, 'trusted');
  });

  it.each(['NODE_OPTIONS', 'LD_PRELOAD', 'OPENSSL_CONF', 'SSLKEYLOGFILE'])(
    'refuse to start (attacks, row 42) with %s in their environment',
    async (name) => {
      const machine = await sealMachine();
      const environment = { [name]: name === 'NODE_OPTIONS' ? '--stack-trace-limit=5' : '/dev/null' };
      for (const verb of ['measure', 'serve']) {
        const running = await start(machine, verb, environment);
        expect(await running.ended).toBe(2);
        expect(running.stderr()).toContain('environment-unsafe');
        expect(running.stderr()).toContain(name);
      }
      await expect(readdir(machine.settings().runDirectory)).rejects.toMatchObject({ code: 'ENOENT' });
    },
  );

  it('refuse settings that are wrong, with file and line', async () => {
    const machine = await sealMachine();
    const running = await start(machine, 'measure', {}, 'sweepSecond: 3');
    expect(await running.ended).toBe(2);
    expect(running.stderr()).toMatch(/agent\.yaml:10: sweepSecond is not known here/);
  });
});

describe('sealborn run', () => {
  it('starts both halves with a clean environment (attacks, row 42), and stops them in order', async () => {
    const machine = await sealMachine();
    const running = await start(machine, 'run', {
      NODE_OPTIONS: '--stack-trace-limit=5',
      LD_PRELOAD: '/dev/null/none.so',
      OPENSSL_CONF: '/dev/null',
    });
    await untilState(socketOf(machine), 'trusted');
    expect(await ask(socketOf(machine))).toMatchObject({ decision: true });
    const pids = running.lines.filter(({ code }) => code === 'half-started').map(({ pid }) => pid);
    expect(pids).toHaveLength(2);
    for (const pid of pids) {
      const variables = (await readFile(`/proc/${pid as number}/environ`, 'latin1')).split('\0');
      expect(variables.filter((one) => /^(NODE_OPTIONS|LD_PRELOAD|OPENSSL_CONF)=/.test(one))).toEqual([]);
    }
    running.child.kill('SIGTERM');
    expect(await running.ended).toBe(0);
    expect(pids.map(isAlive)).toEqual([false, false]);
    expect(await readdir(machine.settings().runDirectory)).toEqual([]);
  });

  it.each(['measure', 'serve'])('stops the other half and fails when "%s" dies', async (half) => {
    const machine = await sealMachine();
    const running = await start(machine, 'run');
    await untilState(socketOf(machine), 'trusted');
    const started = running.lines.filter(({ code }) => code === 'half-started');
    process.kill(started.find((entry) => entry['half'] === half)?.['pid'] as number, 'SIGKILL');
    expect(await running.ended).not.toBe(0);
    expect(running.stderr()).toContain('half-died');
    expect(started.map(({ pid }) => isAlive(pid))).toEqual([false, false]);
  });

  it('leaves no half behind when it is killed itself', async () => {
    const machine = await sealMachine();
    const running = await start(machine, 'run');
    await untilState(socketOf(machine), 'trusted');
    const pids = running.lines.filter(({ code }) => code === 'half-started').map(({ pid }) => pid);
    running.child.kill('SIGKILL');
    await until('both to end', () => !pids.some(isAlive));
  });

  it('logs every change of state as one line, with paths escaped', async () => {
    const machine = await sealMachine();
    const running = await start(machine, 'run');
    await untilState(socketOf(machine), 'trusted');
    await machine.tamper();
    await untilState(socketOf(machine), 'drifted');
    await line(running, 'drift-total');
    const states = running.lines.filter(({ code }) => code === 'state').map(({ state }) => state);
    expect(states).toEqual(['measuring', 'trusted', 'drifted']);
    expect(await line(running, 'drift')).toMatchObject({
      level: 'error',
      path: '/usr/bin/app',
      kind: 'modified',
    });
    expect(JSON.parse(await readFile(latchPath(machine.settings().runDirectory), 'utf8'))).toMatchObject({
      verdict: { state: 'drifted' },
    });
  });
});

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { latchPath } from '../../src/agent/measure/latch.ts';
import { line, port, start } from './agent-process.ts';
import { type SealedMachine, ask, health, sealMachine, untilState } from './sealed-machine.ts';
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
  it('end trust at once when the measuring half is killed', async () => {
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

  it('refuse settings that are wrong, with file and line', async () => {
    const machine = await sealMachine();
    const running = await start(machine, 'measure', {}, 'sweepSecond: 3');
    expect(await running.ended).toBe(2);
    expect(running.stderr()).toMatch(/agent\.yaml:10: sweepSecond is not known here/);
  });
});

describe('sealborn run', () => {
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

  it('runs both halves with the flags that the executable has inside', async () => {
    const machine = await sealMachine();
    const running = await start(machine, 'run');
    await line(running, 'half-started');
    const pids = await until('both halves', () => {
      const started = running.lines.filter(({ code }) => code === 'half-started');
      return started.length === 2 ? started.map(({ pid }) => pid as number) : undefined;
    });
    for (const pid of pids) {
      await until('its command line', () =>
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('--max-semi-space-size=8'),
      );
    }
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

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { onTestFinished } from 'vitest';

import type { SealedMachine } from './sealed-machine.ts';
import { until } from './until.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export type Line = { readonly [field: string]: unknown };
export type Running = {
  child: ChildProcess;
  lines: Line[];
  stderr: () => string;
  /** The exit code, or the signal's name. */
  ended: Promise<number | string>;
};

/** Starts the program itself with a verb. */
export function start(
  machine: SealedMachine,
  verb: string,
  environment: NodeJS.ProcessEnv = {},
  yaml = '',
): Promise<Running> {
  return startIn([], machine, verb, environment, yaml);
}

/** The same as an argument of other programs, which end by becoming it: `unshare …`. */
export async function startIn(
  before: readonly string[],
  machine: SealedMachine,
  verb: string,
  environment: NodeJS.ProcessEnv = {},
  yaml = '',
): Promise<Running> {
  const file = await machine.settingsFile(yaml);
  const [program, ...words] = [...before, process.execPath, MAIN, verb, '--config', file] as const;
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...environment },
  });
  const lines: Line[] = [];
  let rest = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    const parts = `${rest}${String(chunk)}`.split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts.map((line) => JSON.parse(line) as Line));
  });
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const ended = once(child, 'close').then(([code, signal]) => (signal ?? code) as number | string);
  onTestFinished(async () => {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await ended;
  });
  return { child, lines, stderr: () => stderr, ended };
}

/** Waits for a log line with this code. */
export function line(running: Running, code: string): Promise<Line> {
  return until(`the log line "${code}"`, () => running.lines.find((entry) => entry['code'] === code));
}

/** The TCP port of an agent's health. */
export async function port(running: Running): Promise<number> {
  return (await line(running, 'serving'))['healthPort'] as number;
}

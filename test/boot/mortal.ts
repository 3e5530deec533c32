import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** Starts a program that dies with this process, however this one ends: a test that is killed leaves no machine. */
export function spawnMortal(command: string, args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args]);
}

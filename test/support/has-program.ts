import { spawnSync } from 'node:child_process';

/** Whether a program is on this machine; tests that need one skip where it is not. */
export function hasProgram(name: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name]).status === 0;
}

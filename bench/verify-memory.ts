// Peak memory of `sealborn verify`, as the program that goes into images does it.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { thisArchitecture } from '../scripts/package/architecture.ts';
import { makeExecutable } from '../scripts/package/single-executable.ts';
import { sealTree } from './sealed-agent.ts';
import { type Report, goal, round } from './verify-report.ts';

/** From the issue on measurement, for 125,000 files. */
const GOAL_PEAK_MB = 120;

/** What a check takes beyond the program itself grows with the files; a small tree says nothing of it. */
const GOAL_FILES = 125_000;

const LOOK_MS = 10;

export type MemoryOptions = { root: string; directory: string; note: (text: string) => void };

/**
 * Seals the tree and verifies it. As root the page cache is dropped before, so that the program is loaded from the
 * disk as at a first boot: where it was just written, the kernel holds it in large pages and counts more of it.
 */
export async function memory({ root, directory, note }: MemoryOptions): Promise<Report> {
  note('memory: building the program and sealing the tree ...');
  const program = join(directory, 'program/sealborn');
  const place = join(directory, 'sealed');
  mkdirSync(place);
  await makeExecutable({
    entry: 'src/main-host.ts',
    architecture: thisArchitecture(),
    out: program,
    measures: true,
  });
  sealTree(root, place);
  execFileSync('sync', ['-f', directory]);
  if (process.getuid?.() === 0) writeFileSync('/proc/sys/vm/drop_caches', '3');
  note('memory: verifying ...');
  const flags = [join(place, 'bundle'), '--trust', join(place, 'trust.yaml'), '--root', root, '--json'];
  const child = spawn(program, ['verify', ...flags], { stdio: ['ignore', 'pipe', 'inherit'], env: {} });
  const ended = once(child, 'close');
  let said = '';
  child.stdout.on('data', (chunk) => void (said += String(chunk)));
  const peak = { all: 0, own: 0 };
  const started = performance.now();
  while (child.exitCode === null && child.signalCode === null) {
    look(child.pid ?? 0, peak);
    await sleep(LOOK_MS);
  }
  await ended;
  if (child.exitCode !== 0) throw new Error('the tree changed meanwhile: measure one that nothing writes to');
  const seconds = (performance.now() - started) / 1000;
  const { measured } = JSON.parse(said) as { measured: { files: number } };
  const name = `peak memory of verify, ${measured.files} files`;
  return {
    bench: 'verify',
    goals: [goal(`${name} (goal for ${GOAL_FILES})`, peak.all, 'MB', GOAL_PEAK_MB, 'most')],
    rows: [
      {
        name: `${name}: ${round(peak.own)} MB its own`,
        cache: 'cold',
        seconds: round(seconds),
        ratio: 1,
        runs: 1,
      },
    ],
  };
}

/** Peak so far of the resident set, and of what of it is the process's own: neither program nor libraries; MB. */
function look(pid: number, peak: { all: number; own: number }): void {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return; // it has just ended
  }
  const megabytes = (field: RegExp): number => (Number(field.exec(status)?.[1] ?? 0) * 1024) / 1e6;
  peak.all = Math.max(peak.all, megabytes(/^VmHWM:\s+(\d+)/m));
  peak.own = Math.max(peak.own, megabytes(/^RssAnon:\s+(\d+)/m));
}

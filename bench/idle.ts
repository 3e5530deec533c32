/**
 * npm run -s bench:idle -- [--root DIR] [--seconds N] [--json]
 *
 * What an agent costs in which nothing happens: processor time of both halves (user and system, proc_pid_stat(5))
 * over some minutes at default settings on a real tree, and their memory. Processor time is steadier than any other:
 * it does not tell how busy the machine was meanwhile.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { sealTree, startAgent } from './sealed-agent.ts';

/** From the issue on measurement, for 125,000 files. */
const GOAL_PERCENT = 1.5;

const { values: flags } = parseArgs({
  options: {
    root: { type: 'string', default: '/usr' },
    seconds: { type: 'string', default: '120' },
    json: { type: 'boolean', default: false },
  },
});
const root = resolve(flags.root);
const seconds = Number(flags.seconds);
if (!(seconds >= 1)) throw new Error('--seconds must be a number from 1');
const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

const place = mkdtempSync(join(tmpdir(), 'sealborn-idle-'));
// After the agents were ended, which stands first (sealed-agent.ts); a signal comes here too.
process.once('exit', () => rmSync(place, { recursive: true, force: true, maxRetries: 5 }));
await bench();

async function bench(): Promise<void> {
  const agent = await startAgent(sealTree(root, place));
  try {
    const before = [cpuSeconds(agent.measure), cpuSeconds(agent.serve)];
    const started = performance.now();
    await sleep(seconds * 1000);
    const elapsed = (performance.now() - started) / 1000;
    const [measure = 0, serve = 0] = [cpuSeconds(agent.measure), cpuSeconds(agent.serve)].map(
      (now, half) => ((now - (before[half] ?? 0)) / elapsed) * 100,
    );
    const { state, measured, coverage } = await agent.status();
    if (state !== 'trusted') throw new Error(`the tree changed meanwhile: ${state}`);
    const rows = [
      { name: 'measuring half', value: round(measure), unit: '% of a core' },
      { name: 'serving half', value: round(serve), unit: '% of a core' },
      { name: 'measuring half, memory (PSS)', value: round(pssOf(agent.measure)), unit: 'MB' },
      { name: 'serving half, memory (PSS)', value: round(pssOf(agent.serve)), unit: 'MB' },
    ];
    const files = measured?.files ?? 0;
    const total = round(measure + serve);
    const name = `both halves, idle, ${files} files`;
    const goals = [
      { name, value: total, unit: '% of a core', goal: GOAL_PERCENT, met: total <= GOAL_PERCENT },
    ];
    if (flags.json) {
      console.log(
        JSON.stringify({ bench: 'idle', goals, rows, root, files, seconds: round(elapsed), coverage }),
      );
      return;
    }
    const { held, wanted } = coverage?.watch ?? { held: 0, wanted: 0 };
    console.log(`${root}: ${files} files, ${held} of ${wanted} directories watched; ${round(elapsed)} s`);
    for (const { name, value, unit } of rows) console.log(`  ${name.padEnd(32)} ${value} ${unit}`);
    for (const { name, value, unit, goal, met } of goals) {
      console.log(`  ${met ? 'met    ' : 'NOT MET'} ${name}: ${value} ${unit}, goal ${goal} ${unit}`);
    }
  } finally {
    await agent.stop();
  }
}

/** User and system time of a process with its threads: fields 14 and 15, counted behind the name. */
function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}

/** Proportional set size (proc_pid_smaps(5)), MB. */
function pssOf(pid: number): number {
  const kilobytes = /^Pss: +(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1];
  return (Number(kilobytes) * 1024) / 1e6;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

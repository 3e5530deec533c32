/*
 * npm run -s bench:socket -- [--rounds N] [--count N] [--json]
 * npm run -s bench:socket -- --memory [--decisions N] [--json]
 *
 * What a decision takes over decide.sock (HTTP, kept alive) and decide.ndjson.sock, beside a bare node:http server
 * and a bare echo of lines on Unix sockets, with 1 and with 32 questions in flight. The agent is the built program
 * with a signed release of examples/payments and its decision log on; it, the floors and the load generator are
 * processes of their own. All take turns, so that a slow spell of the machine hits all: read the ratios.
 * --memory asks millions of questions and prints what the agent's memory does meanwhile.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { type BenchAgent, startBenchAgent } from './socket-agent.ts';
import { type Load, type Loader, type Protocol, openLoad } from './socket-load.ts';

/** From the issue on decisions, "Load". */
const GOAL_FLOOR_RATIO = 1.25;
const GOAL_P99_MS = 1;
/** Memory is flat where a million decisions do not make it grow by more than what such a measurement varies by. */
const GOAL_SLOPE_MIB = 1;

type Goal = { name: string; value: number; unit: string; goal: number; met: boolean };
type Row = {
  what: string;
  inFlight: string;
  p50us: number;
  p99us: number;
  perSecond: number;
  /** Processor time of the server, all its threads, for one question: steadier than its latency. */
  cpuUs: number;
  floorP50: number | null;
};

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    count: { type: 'string', default: '4000' },
    memory: { type: 'boolean', default: false },
    decisions: { type: 'string', default: '5000000' },
    json: { type: 'boolean', default: false },
    'cpu-prof': { type: 'string' },
  },
});

// Unix sockets have paths of at most 107 bytes, so a deep TMPDIR is not used.
const place = mkdtempSync(join(tmpdir().length < 40 ? tmpdir() : '/tmp', 'sealborn-bench-'));
const profile = flags['cpu-prof'];
try {
  const nodeFlags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const agent = await startBenchAgent(place, nodeFlags);
  try {
    if (flags.memory) await memory(agent, Number(flags.decisions));
    else await load(agent, Number(flags.rounds), Number(flags.count));
  } finally {
    await agent.stop();
  }
} finally {
  rmSync(place, { recursive: true });
}

/** Questions that differ, as HTTP requests or as lines; some are permitted, some are not. */
function makeRequests(protocol: Protocol): Buffer[] {
  const subjects = ['User::ana', 'User::ruth', 'ServiceAccount::checkout-web', 'ServiceAccount::ledger-sync'];
  return Array.from({ length: 1000 }, (_, index) => {
    const [type = '', id = ''] = (subjects[index % 4] ?? '').split('::');
    const isDocument = index % 3 === 0;
    const json = JSON.stringify({
      ...(protocol === 'lines' ? { id: index } : {}),
      subject: { type, id },
      action: { name: isDocument ? 'ReadDocument' : 'CreatePayment' },
      resource: isDocument
        ? { type: 'Document', id: `invoice-${index}`, properties: { classification: 'internal' } }
        : { type: 'Ledger', id: index % 2 === 0 ? 'main' : '2025' },
      ...(isDocument ? {} : { context: { amount: 1000 + index } }),
    });
    return Buffer.from(
      protocol === 'lines'
        ? `${json}\n`
        : 'POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
            `content-length: ${json.length}\r\n\r\n${json}`,
    );
  });
}

async function load(agent: BenchAgent, rounds: number, count: number): Promise<void> {
  const floors = { http: join(place, 'floor.sock'), lines: join(place, 'echo.sock') };
  const floor = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('socket-servers.ts', import.meta.url)),
      floors.http,
      floors.lines,
      'x'.repeat(300),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(floor.stdout, 'data');
  const requests = { http: makeRequests('http'), lines: makeRequests('lines') };
  const shapes: [string, Protocol, string, number, number][] = [
    ['1', 'http', agent.decideSocket, 1, 1],
    ['32 connections', 'http', agent.decideSocket, 32, 1],
    ['1', 'lines', agent.linesSocket, 1, 1],
    ['32 connections', 'lines', agent.linesSocket, 32, 1],
    ['32 on one connection', 'lines', agent.linesSocket, 1, 32],
  ];
  const contenders: {
    what: string;
    inFlight: string;
    loader: Loader;
    pid: number;
    cpuSeconds: number;
    p50s: number[];
    micros: number[];
    rates: number[];
  }[] = [];
  for (const [inFlight, protocol, path, connections, window] of shapes) {
    const shape: Omit<Load, 'path'> = { protocol, connections, window, requests: requests[protocol] };
    const names =
      protocol === 'http' ? ['node:http', 'decide.sock'] : ['echo of lines', 'decide.ndjson.sock'];
    for (const [index, what] of names.entries()) {
      const loader = await openLoad({ ...shape, path: index === 0 ? floors[protocol] : path });
      const pid = index === 0 ? (floor.pid ?? 0) : agent.pid;
      contenders.push({ what, inFlight, loader, pid, cpuSeconds: 0, p50s: [], micros: [], rates: [] });
    }
  }
  for (let round = -2; round < rounds; round += 1) {
    for (const contender of contenders) {
      const { loader, pid, p50s, micros, rates } = contender;
      const before = cpuSeconds(pid);
      const run = await loader.run(count);
      if (round < 0) continue; // the first rounds compile
      contender.cpuSeconds += cpuSeconds(pid) - before;
      run.micros.sort();
      p50s.push(quantile(run.micros, 0.5));
      micros.push(...run.micros);
      rates.push(count / run.seconds);
    }
  }
  for (const { loader } of contenders) loader.close();
  floor.kill('SIGTERM');

  const rows: Row[] = [];
  const goals: Goal[] = [];
  for (let index = 0; index < contenders.length; index += 2) {
    const [bare, ours] = contenders.slice(index, index + 2);
    if (bare === undefined || ours === undefined) continue;
    // The median of the rounds' ratios: what a slow spell does to one round does not move it.
    const ratio = median(ours.p50s.map((p50, round) => p50 / (bare.p50s[round] ?? Number.NaN)));
    for (const { what, inFlight, micros, rates, cpuSeconds } of [bare, ours]) {
      const sorted = Float64Array.from(micros).sort();
      rows.push({
        what,
        inFlight,
        p50us: round2(quantile(sorted, 0.5)),
        p99us: round2(quantile(sorted, 0.99)),
        perSecond: Math.round(median(rates)),
        cpuUs: round2((cpuSeconds / (rounds * count)) * 1e6),
        floorP50: what === ours.what ? round2(ratio) : null,
      });
    }
    const name = `${ours.what}, ${ours.inFlight} in flight`;
    goals.push(goal(`p50 over ${bare.what}: ${name}`, ratio, 'x', GOAL_FLOOR_RATIO));
    const p99 = (rows.at(-1)?.p99us ?? Number.NaN) / 1000;
    if (ours.inFlight !== '1') goals.push(goal(`p99: ${name}`, p99, 'ms', GOAL_P99_MS));
  }
  report(goals, rows);
}

async function memory(agent: BenchAgent, decisions: number): Promise<void> {
  const requests = makeRequests('lines');
  const loader = await openLoad({
    path: agent.linesSocket,
    protocol: 'lines',
    connections: 4,
    window: 64,
    requests,
  });
  const step = 100_000;
  const rows: { decisions: number; rssMiB: number }[] = [];
  for (let asked = 0; asked < decisions; asked += step) {
    await loader.run(step);
    rows.push({ decisions: asked + step, rssMiB: round2(residentMiB(agent.pid)) });
    if (process.stderr.isTTY)
      process.stderr.write(`\r${asked + step} decisions, ${rows.at(-1)?.rssMiB} MiB `);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  loader.close();
  // The first fifth fills caches and lets V8 choose the size of its heap.
  const steady = rows.slice(Math.floor(rows.length / 5));
  const slope = slopeOf(steady.map(({ decisions, rssMiB }) => [decisions / 1e6, rssMiB]));
  report([goal('growth of resident memory a million decisions', slope, 'MiB', GOAL_SLOPE_MIB)], rows);
}

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** User and system time, counted in hundredths of a second (proc_pid_stat(5), fields 14 and 15). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The slope of the line that fits best (least squares). */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, one) => sum + one, 0) / values.length;
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const covariance = mean(points.map(([x, y]) => (x - meanX) * (y - meanY)));
  return covariance / mean(points.map(([x]) => (x - meanX) ** 2));
}

function goal(name: string, value: number, unit: string, wanted: number): Goal {
  return { name, value: round2(value), unit, goal: wanted, met: value <= wanted };
}

function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function report(goals: readonly Goal[], rows: readonly object[]): void {
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ bench: 'socket', goals, rows }, null, 2)}\n`);
    return;
  }
  console.table(rows);
  console.table(goals);
}

/*
 * npm run -s bench:socket -- [--rounds N] [--count N] [--json]
 * npm run -s bench:socket -- --memory [--decisions N] [--json]
 *
 * What a decision takes over decide.sock (HTTP, kept alive) and decide.ndjson.sock, with 1 and with 32 questions in
 * flight, beside two floors for each on Unix sockets (socket-servers.ts): a bare node:http server and a bare echo of
 * lines, and the same two with a JSON.parse of the question and a JSON.stringify of an answer. The agent is the built
 * program with the executable's flags, a signed release of examples/payments and its decision log on; it, the floors
 * and the load generator are processes of their own. All take turns, so that a slow spell of the machine hits all:
 * read the ratios.
 * --memory asks millions of questions and prints what the agent's memory does meanwhile.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type IncomingMessage, request as open } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { V8_FLAGS } from '../src/host/v8-flags.ts';
import { type BenchAgent, startBenchAgent } from './socket-agent.ts';
import { type Loader, type Protocol, openLoad } from './socket-load.ts';

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
  /** The p50 over that of the bare floor, and over that of the floor that reads and writes JSON. */
  overBare: number | null;
  overJson: number | null;
};

type Floors = { sockets: Record<Protocol, string>; pid: number; stop: () => void };
type Contender = {
  what: string;
  inFlight: string;
  loader: Loader;
  pid: number;
  cpuSeconds: number;
  p50s: number[];
  micros: number[];
  rates: number[];
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

/** Rounds that are not counted: V8 compiles meanwhile. */
const WARM_UP = 10;
const JSON_TYPE = { 'content-type': 'application/json' };
const QUESTION = JSON.stringify({
  subject: { type: 'ServiceAccount', id: 'checkout-web' },
  action: { name: 'CreatePayment' },
  resource: { type: 'Ledger', id: 'main' },
  context: { amount: 1000 },
});

// Unix sockets have paths of at most 107 bytes, so a deep TMPDIR is not used.
const place = mkdtempSync(join(tmpdir().length < 40 ? tmpdir() : '/tmp', 'sealborn-bench-'));
const profile = flags['cpu-prof'];
try {
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const agent = await startBenchAgent(place, [...V8_FLAGS, ...profiling]);
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

/** Starts the floors of one kind; gives their sockets. */
async function startFloors(kind: 'bare' | 'json', answer: string): Promise<Floors> {
  const sockets = { http: join(place, `${kind}.sock`), lines: join(place, `${kind}.ndjson.sock`) };
  const program = fileURLToPath(new URL('socket-servers.ts', import.meta.url));
  const floors = spawn(process.execPath, [...V8_FLAGS, program, kind, sockets.http, sockets.lines, answer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(floors.stdout, 'data');
  return { sockets, pid: floors.pid ?? 0, stop: () => void floors.kill('SIGTERM') };
}

async function load(agent: BenchAgent, rounds: number, count: number): Promise<void> {
  const answer = await askOnce(agent.decideSocket);
  const bare = await startFloors('bare', answer);
  const json = await startFloors('json', answer);
  const ours = { sockets: { http: agent.decideSocket, lines: agent.linesSocket }, pid: agent.pid };
  const requests = { http: makeRequests('http'), lines: makeRequests('lines') };
  const names = {
    http: ['node:http', 'node:http with JSON', 'decide.sock'],
    lines: ['echo of lines', 'lines with JSON', 'decide.ndjson.sock'],
  };
  const shapes: [string, Protocol, number, number][] = [
    ['1', 'http', 1, 1],
    ['32 connections', 'http', 32, 1],
    ['1', 'lines', 1, 1],
    ['32 connections', 'lines', 32, 1],
    ['32 on one connection', 'lines', 1, 32],
  ];
  const contenders: Contender[] = [];
  for (const [inFlight, protocol, connections, window] of shapes) {
    for (const [index, { sockets, pid }] of [bare, json, ours].entries()) {
      const path = sockets[protocol];
      const loader = await openLoad({ protocol, connections, window, path, requests: requests[protocol] });
      const what = names[protocol][index] ?? '';
      contenders.push({ what, inFlight, loader, pid, cpuSeconds: 0, p50s: [], micros: [], rates: [] });
    }
  }
  for (let round = -WARM_UP; round < rounds; round += 1) {
    for (const contender of contenders) {
      const { loader, pid, p50s, micros, rates } = contender;
      const before = cpuSeconds(pid);
      const run = await loader.run(count);
      if (round < 0) continue;
      contender.cpuSeconds += cpuSeconds(pid) - before;
      run.micros.sort();
      p50s.push(quantile(run.micros, 0.5));
      micros.push(...run.micros);
      rates.push(count / run.seconds);
    }
  }
  for (const { loader } of contenders) loader.close();
  for (const floors of [bare, json]) floors.stop();

  const rows: Row[] = [];
  const goals: Goal[] = [];
  for (let index = 0; index < contenders.length; index += 3) {
    const group = contenders.slice(index, index + 3);
    const [overBare, overJson] = group;
    for (const one of group) {
      const sorted = Float64Array.from(one.micros).sort();
      const isOurs = one === group[2];
      rows.push({
        what: one.what,
        inFlight: one.inFlight,
        p50us: round2(quantile(sorted, 0.5)),
        p99us: round2(quantile(sorted, 0.99)),
        perSecond: Math.round(median(one.rates)),
        cpuUs: round2((one.cpuSeconds / (rounds * count)) * 1e6),
        overBare: isOurs ? round2(ratio(one, overBare)) : null,
        overJson: isOurs ? round2(ratio(one, overJson)) : null,
      });
      if (!isOurs || overBare === undefined) continue;
      const name = `${one.what}, ${one.inFlight} in flight`;
      goals.push(goal(`p50 over ${overBare.what}: ${name}`, ratio(one, overBare), 'x', GOAL_FLOOR_RATIO));
      const p99 = (rows.at(-1)?.p99us ?? Number.NaN) / 1000;
      if (one.inFlight !== '1') goals.push(goal(`p99: ${name}`, p99, 'ms', GOAL_P99_MS));
    }
  }
  report(goals, rows);
}

/** The median of the rounds' ratios: what a slow spell does to one round does not move it. */
function ratio(ours: Contender, floor: Contender | undefined): number {
  return median(ours.p50s.map((p50, round) => p50 / (floor?.p50s[round] ?? Number.NaN)));
}

/** An answer of the agent, for the floors to give. */
async function askOnce(socketPath: string): Promise<string> {
  const request = open({ socketPath, path: '/access/v1/evaluation', method: 'POST', headers: JSON_TYPE });
  request.end(QUESTION);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return text(response);
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
  // The first half fills caches and lets V8 choose the size of its heap.
  const steady = rows.slice(Math.floor(rows.length / 2));
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

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, onTestFinished, test } from 'vitest';

import { port, start } from '../agent/agent-process.ts';
import { type SealedMachine, ask, health, sealMachine, status, untilState } from '../agent/sealed-machine.ts';
import { until } from '../agent/until.ts';
import { temporaryDirectory } from './sealed-image.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

function socketOf(machine: SealedMachine): string {
  return `${machine.settings().runDirectory}/decide.sock`;
}

describe("attack table: the agent's environment", () => {
  test.each(['NODE_OPTIONS', 'LD_PRELOAD', 'OPENSSL_CONF', 'SSLKEYLOGFILE'])(
    '42: %s in the environment of a half: refused to start',
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

  test('42: all of them in the environment of "sealborn run": no effect on either half', async () => {
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
  });
});

describe('attack table: the daemon', () => {
  test('47: killed -9 and restarted after drift was undone: still drifted', async () => {
    const machine = await sealMachine();
    const serving = await start(machine, 'serve');
    const healthPort = await port(serving);
    const socket = socketOf(machine);
    const first = await start(machine, 'measure');
    await untilState(socket, 'trusted');
    const undo = await machine.tamper();
    await untilState(socket, 'drifted');
    first.child.kill('SIGKILL'); // the moment it shows
    await first.ended;
    await undo();
    expect(await status(socket)).toMatchObject({ state: 'drifted' });
    const second = await start(machine, 'measure');
    const latched = await until('the verdict of the second', async () => {
      const said = await status(socket);
      return JSON.stringify(said['reason']).includes('"latched"') && said;
    });
    expect(latched).toMatchObject({ state: 'drifted', driftTotal: 1 });
    expect(await health(healthPort)).toMatchObject({ status: 503 });
    for (const { child, ended } of [serving, second]) {
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    }
    expect(await readdir(machine.settings().runDirectory)).toEqual(['drift']);
  });
});

/** Has a process write down at its end how much memory it held at most, in KiB as the kernel counted it (getrusage(2)). */
function sayPeak(file: string): string {
  const write = `appendFileSync(${JSON.stringify(file)}, process.resourceUsage().maxRSS + "\\n")`;
  const script = `import { appendFileSync } from 'node:fs'; process.on('exit', () => ${write});`;
  return `data:text/javascript,${encodeURIComponent(script)}`;
}

/** Runs the program; gives its exit code, what it printed, and the peak of its memory in MB. */
function measured(words: string[]): {
  child: ChildProcess;
  said: () => string;
  ended: Promise<{ exit: number; output: string; peak: number }>;
} {
  const file = join(temporaryDirectory(), 'peak');
  const child = spawn(process.execPath, ['--import', sayPeak(file), MAIN, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  const closed = once(child, 'close') as Promise<[number | null, string | null]>;
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  const ended = closed.then(([exit, signal]) => {
    if (exit === null) throw new Error(`${words[0]} ended by ${signal}: ${output}`);
    // Threads end before the process does and say the same of it.
    const peak = Math.max(...readFileSync(file, 'utf8').trim().split('\n').map(Number)) / 1024;
    expect(peak).toBeGreaterThan(20);
    return { exit, output, peak };
  });
  return { child, said: () => output, ended };
}

/** What `sealborn verify` and both halves of the agent say of a machine, and what memory each took at most, in MB. */
async function refusal(machine: SealedMachine): Promise<{ codes: unknown[]; peaks: number[] }> {
  const verify = measured(['verify', machine.bundle, '--trust', machine.trust, '--json']);
  const config = await machine.settingsFile();
  const [measure, serve] = [
    measured(['measure', '--config', config]),
    measured(['serve', '--config', config]),
  ];
  // The serving half refuses a release by itself, maybe before the other has begun.
  await until('a verdict', () => /"state":"(trusted|refused)"/.test(measure.said()));
  const said = await until('the same of the serving half', async () => {
    const now = await status(socketOf(machine)).catch(() => undefined);
    return (now?.['state'] === 'refused' || now?.['state'] === 'trusted') && now;
  });
  const { exit, output, peak } = await verify.ended;
  const { error } = JSON.parse(output) as { error?: { code: string } };
  for (const { child } of [measure, serve]) child.kill('SIGTERM');
  const ends = await Promise.all([measure.ended, serve.ended]);
  expect(ends.map((end) => end.exit)).toEqual([0, 0]);
  const reason = said['reason'] as { code: string } | undefined;
  return { codes: [exit, error?.code, reason?.code], peaks: [peak, ...ends.map((end) => end.peak)] };
}

/** Makes a file of 1 GB, all of it a hole. */
function makeHuge(path: string): void {
  truncateSync(path, 2 ** 30);
}

const deep = (depth: number): Buffer => Buffer.from(`${'['.repeat(depth)}${']'.repeat(depth)}`);
const signature = '{"sig":"AAAA"}';
const envelopeWith = (count: number): string =>
  `{"payloadType":"t","payload":"","signatures":[${Array<string>(count).fill(signature).join()}]}`;

type Sealing = Parameters<typeof sealMachine>[0];
const HUGE: [words: string, code: string, how: Sealing, damage?: (m: SealedMachine) => void][] = [
  [
    'a manifest of 1 GB',
    'bundle-file-too-large',
    {},
    ({ bundle }) => makeHuge(join(bundle, 'manifest.mtree')),
  ],
  ['a policy of 1 GB', 'bundle-file-too-large', {}, ({ bundle }) => makeHuge(join(bundle, 'policy.json'))],
  [
    'an envelope with 1,000,000 signatures',
    'bundle-file-too-large',
    {},
    ({ bundle }) => writeFileSync(join(bundle, 'release.dsse.json'), envelopeWith(1_000_000)),
  ],
  [
    'an envelope of the largest size, all signatures',
    'envelope-malformed',
    {},
    ({ bundle }) => writeFileSync(join(bundle, 'release.dsse.json'), envelopeWith(69_000)),
  ],
  [
    'an envelope of the largest size, all brackets',
    'envelope-malformed',
    {},
    ({ bundle }) => writeFileSync(join(bundle, 'release.dsse.json'), deep(500_000)),
  ],
  ['a signed policy nested a million deep', 'document-invalid', { policy: deep(1_000_000) }],
  ['a trust set of 1 GB', 'file-too-large', {}, ({ trust }) => makeHuge(trust)],
];

/** The same of a machine that is as it should be: measured once. */
let good: ReturnType<typeof refusal> | undefined;

describe('attack table: what is too large', () => {
  test.each(HUGE)('50: %s: refused by a limit, in bounded memory', async (_, code, sealing, damage) => {
    good ??= refusal(await sealMachine());
    const usual = await good;
    expect(usual.codes).toEqual([0, undefined, undefined]);
    const machine = await sealMachine(sealing);
    damage?.(machine);
    const { codes, peaks } = await refusal(machine);
    expect(codes.slice(1)).toEqual([code, code]);
    expect(codes[0]).not.toBe(0);
    for (const [at, peak] of peaks.entries()) expect(peak - (usual.peaks[at] ?? 0)).toBeLessThan(48);
  });
});

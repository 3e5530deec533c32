/**
 * `npm run demo [-- --keep]`: sealborn's main job from end to end on real files of this machine: an image tree
 * is sealed and signed, an agent boots on it, answers questions, is tampered with and fails. With --keep it
 * goes on running until Ctrl-C.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { makeDemoImage } from './demo-image.ts';

const project = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const SEALBORN = project('dist/sealborn.js');
const keep = process.argv.includes('--keep');
const colour = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '';
const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
const started = performance.now();

// Unix sockets have paths of at most 107 bytes, so a deep TMPDIR is not used.
const place = mkdtempSync(join(tmpdir().length < 40 ? tmpdir() : '/tmp', 'sealborn-demo-'));
const at = (name: string): string => join(place, name);
const image = at('image');
const inImage = (name: string): string => join(image, name);
const children: ChildProcess[] = [];
let step = 0;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function chapter(title: string): void {
  step += 1;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`\n${paint(1, `${step}. ${title}`)} ${paint(2, `(${seconds} s)`)}`);
}

/** Runs a command as a user would, showing it and what it prints; gives its exit code. */
function command(args: string[], expected: number): void {
  say(paint(36, `$ sealborn ${args.map((arg) => show(arg)).join(' ')}`));
  const { status, stdout, stderr } = spawnSync(process.execPath, [SEALBORN, ...args], { encoding: 'utf8' });
  process.stdout.write(
    `${stdout}${stderr}`.replaceAll(`${place}/`, '').replaceAll(/^/gm, '  ').replace(/ +$/, ''),
  );
  if (status !== expected)
    throw new Error(`"sealborn ${args[0] ?? ''}" exited with ${status}, not ${expected}`);
}

function show(arg: string): string {
  const short = arg.replaceAll(`${place}/`, '');
  return /^[\w./:=@-]+$/.test(short) ? short : `'${short}'`;
}

async function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() =>
      typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
    );
  });
  return promise;
}

function start(name: string, args: string[]): ChildProcess {
  say(paint(36, `$ sealborn ${args.map((arg) => show(arg)).join(' ')} &`));
  const log = openSync(at(`${name}.log`), 'a');
  const child = spawn(process.execPath, [SEALBORN, ...args], { stdio: ['ignore', log, log] });
  closeSync(log);
  children.push(child);
  return child;
}

/** Asks until the answer is the wanted one, at most `seconds` long; gives the seconds it took. */
async function until(what: string, seconds: number, holds: () => Promise<boolean>): Promise<number> {
  const from = performance.now();
  for (;;) {
    if (await holds().catch(() => false)) return (performance.now() - from) / 1000;
    const dead = children.find((child) => child.exitCode !== null);
    if (dead !== undefined)
      throw new Error(`${dead.spawnargs.slice(2).join(' ')} exited with ${dead.exitCode}`);
    if (performance.now() - from > seconds * 1000) throw new Error(`${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function healthStatus(port: number): Promise<number> {
  return (await fetch(`http://127.0.0.1:${port}/healthz`)).status;
}

function flipOneByte(path: string): void {
  const { atime, mtime, size } = statSync(path);
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  const middle = Math.floor(size / 2);
  readSync(file, byte, 0, 1, middle);
  byte[0] = (byte[0] ?? 0) ^ 1;
  writeSync(file, byte, 0, 1, middle);
  closeSync(file);
  utimesSync(path, atime, mtime); // as an attacker would
}

async function stopAll(): Promise<void> {
  await Promise.all(
    children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), 5000);
      await gone;
      clearTimeout(hard);
    }),
  );
}

function preparePolicyRepository(): void {
  cpSync(project('examples/payments'), at('policy'), { recursive: true });
  const git = (...args: string[]): void =>
    void execFileSync(
      'git',
      ['-C', at('policy'), '-c', 'user.name=Demo', '-c', 'user.email=demo@example.org', ...args],
      { stdio: 'ignore' },
    );
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'Access rules of the payments service');
}

async function main(): Promise<void> {
  say(paint(1, 'sealborn demo: seal a machine image, boot the agent on it, tamper with it, see it fail.'));
  say(`Everything happens in ${place}${keep ? '' : ' and is deleted at the end'}.`);

  chapter('An image: real programs, libraries, time zones and certificates of this machine');
  const made = makeDemoImage(image, project(`node_modules/node-linux-${process.arch}/bin`));
  say(`  ${made.files.toLocaleString('en-US')} files, ${Math.round(made.bytes / 1e6)} MB`);
  preparePolicyRepository();
  say('  and the access rules of a small payments service, in a git repository: examples/payments');

  chapter('A signing key, and a trust set baked into the image: whose signatures it will accept');
  command(['key', 'new', at('release')], 0);
  mkdirSync(inImage('usr/share/sealborn'), { recursive: true });
  command(
    [
      'trust',
      'new',
      inImage('usr/share/sealborn/trust.yaml'),
      '--environment',
      'production',
      '--key',
      at('release.pub'),
    ],
    0,
  );

  chapter('Build: compile and test the policy, measure every file, write one bundle; then sign it');
  const bundle = inImage('usr/share/sealborn/bundle');
  command(['build', at('policy'), '--root', image, '--environment', 'production', '--out', bundle], 0);
  command(['sign', bundle, '--key', at('release.key')], 0);
  rmSync(at('release.key'));
  say('  (the private key is gone: from here on nobody can sign another release for this image)');

  chapter('Boot: a collector for the fleet, and the agent on the sealed image');
  const [collectorPort, healthPort] = [await freePort(), await freePort()];
  const collectorUrl = `http://127.0.0.1:${collectorPort}`;
  start('collector', [
    'collector',
    '--listen',
    `127.0.0.1:${collectorPort}`,
    '--database',
    at('collector.db'),
  ]);
  await until('the collector answers', 10, async () => (await fetch(`${collectorUrl}/healthz`)).ok);
  writeFileSync(
    at('agent.yaml'),
    [
      `root: ${image}`,
      `bundle: ${bundle}`,
      `trust: ${inImage('usr/share/sealborn/trust.yaml')}`,
      `runDirectory: ${at('run')}`,
      `stateDirectory: ${at('state')}`,
      `logDirectory: ${at('log')}`,
      'sweepSeconds: 2',
      `health:\n  listen: 127.0.0.1:${healthPort}`,
      `collector:\n  url: ${collectorUrl}\n  splaySeconds: 0`,
      'labels:\n  service: payments\n',
    ].join('\n'),
  );
  mkdirSync(at('run'));
  mkdirSync(at('state'));
  start('agent', ['run', '--config', at('agent.yaml')]);
  const socket = join(at('run'), 'decide.sock');
  const boot = await until(
    'the agent trusts the image',
    30,
    async () => (await healthStatus(healthPort)) === 200,
  );
  say(`  health is ${paint(32, '200')} ${boot.toFixed(1)} s after start: signature and every file verified`);
  command(['status', '--socket', socket], 0);

  chapter('Two questions to the agent, as a program on the machine would ask them');
  const permitted = [
    'ask',
    'ServiceAccount::checkout-web',
    'CreatePayment',
    'Ledger::main',
    '--context',
    '{"amount": 1999}',
    '--socket',
    socket,
  ];
  command(permitted, 0);
  command(
    [
      'ask',
      'ServiceAccount::ledger-sync',
      'CreatePayment',
      'Ledger::main',
      '--context',
      '{"amount": 1999}',
      '--socket',
      socket,
    ],
    1,
  );

  chapter('Tamper: one bit of one program is flipped; its size and time stay the same');
  const victim = 'opt/payments/runtime/node';
  flipOneByte(inImage(victim));
  say(paint(36, `$ (one bit of /${victim} flipped)`));
  const noticed = await until('health turns 503', 30, async () => (await healthStatus(healthPort)) === 503);
  say(
    `  health turned ${paint(31, '503')} after ${noticed.toFixed(1)} s (this agent looks every 2 s; 10 s is the default)`,
  );
  command(['status', '--socket', socket], 1);
  say('  The question that was permitted before is denied now, because the machine is not trusted:');
  command(permitted, 1);

  chapter('What on-call sees: the collector, told by a signed report');
  await until('the collector shows the drift', 20, async () => {
    const { hosts } = (await (await fetch(`${collectorUrl}/v1/hosts`)).json()) as {
      hosts: { state: string }[];
    };
    return hosts.some(({ state }) => state === 'drifted');
  });
  const page = await (await fetch(`${collectorUrl}/`)).text();
  if (!page.includes(victim)) throw new Error('the page of the collector does not name the file');
  const words = page
    .replaceAll(/<style[\s\S]*?<\/style>|<script[\s\S]*?<\/script>/g, '')
    .replaceAll(/<[^>]+>/g, '\n');
  const lines = words.split('\n').map((line) => line.trim());
  for (const line of lines.filter((text) => text.includes(victim)).slice(0, 1))
    say(`  the page says: ${line}`);
  say(`  ${collectorUrl}/`);

  chapter('Undoing the change does not help: drift stays until the machine is replaced');
  flipOneByte(inImage(victim));
  command(['verify', bundle, '--trust', inImage('usr/share/sealborn/trust.yaml'), '--root', image], 0);
  command(['status', '--socket', socket], 1);

  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`\n${paint(32, 'Done')} in ${seconds} s.`);
  if (!keep) {
    say('Run it with "npm run demo -- --keep" to leave agent and collector running and look at the page.');
    return;
  }
  say(`The collector's page: ${paint(1, `${collectorUrl}/`)}`);
  say(`Ask the agent:        node_modules/.bin/node dist/sealborn.js status --socket ${socket}`);
  say('Ctrl-C stops both and deletes everything.');
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

let failed = false;
const interrupted = (): void => {
  if (keep && step >= 8) return; // main() waits for this signal itself
  void stopAll().then(() => {
    rmSync(place, { recursive: true, force: true });
    process.exit(130);
  });
};
process.on('SIGINT', interrupted);
process.on('SIGTERM', interrupted);
try {
  await main();
} catch (thrown) {
  failed = true;
  process.stderr.write(`\ndemo: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  for (const name of ['agent', 'collector']) {
    try {
      process.stderr.write(`--- ${name}.log\n${readFileSync(at(`${name}.log`), 'utf8').slice(-3000)}\n`);
    } catch {
      // it was not started yet
    }
  }
} finally {
  await stopAll();
  rmSync(place, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

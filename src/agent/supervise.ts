import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import type { Log } from '../host/log/log.ts';
import { HalfDied } from './agent-error.ts';
import { safeEnvironment } from './environment.ts';
import { readSettings } from './settings.ts';

export type SuperviseOptions = {
  settingsFile: string;
  /** The program to run: what comes before the verb, such as `['--expose-gc', '/usr/lib/sealborn/main.js']`. */
  entry: readonly string[];
  environment: NodeJS.ProcessEnv;
  log: Log;
  /** Ends the supervision and both halves. */
  stop: AbortSignal;
};

/** The two verbs that `sealborn run` starts. */
const HALVES = ['measure', 'serve'] as const;
/** How long a half may take to end before it is killed. */
const PATIENCE_MS = 5000;

/**
 * Runs both halves as two processes of this program, each with an environment without the variables that
 * change a program from outside. Resolves when `stop` is aborted and both have ended.
 * @throws AgentError `settings-invalid`; HalfDied where one ended by itself: the other is stopped then,
 * for half an agent is none
 */
export async function superviseHalves(options: SuperviseOptions): Promise<void> {
  const { settingsFile, entry, environment, log, stop } = options;
  await readSettings(settingsFile); // one clear error instead of two halves that die of it
  const { NOTIFY_SOCKET: _, ...inherited } = safeEnvironment(environment);
  const children = HALVES.map((half) => {
    const child = spawn(process.execPath, [...entry, half, '--config', settingsFile], {
      // The channel is there to be closed: a half ends when this process is gone, however it went.
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: inherited,
    });
    log.info({ code: 'half-started', half, pid: child.pid }, `started "${half}"`);
    return { half, child, ended: whenEnded(child) };
  });
  const first = await Promise.race([
    whenAborted(stop),
    ...children.map(async ({ half, ended }) => ({ half, how: await ended })),
  ]);
  if (first !== undefined) {
    log.error(
      { code: 'half-died', half: first.half },
      `"${first.half}" ${first.how}; stopping the other half`,
    );
  }
  await Promise.all(children.map(({ child, ended }) => end(child, ended)));
  if (first === undefined) return;
  const exitCode = children.find(({ half }) => half === first.half)?.child.exitCode ?? undefined;
  throw new HalfDied(`the half "${first.half}" ${first.how}`, exitCode);
}

async function whenEnded(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  } catch (thrown) {
    return `could not be started: ${String(thrown)}`;
  }
}

async function whenAborted(signal: AbortSignal): Promise<undefined> {
  if (!signal.aborted) await once(signal, 'abort');
}

async function end(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await ended;
  clearTimeout(timer);
}

import { createLog } from '../host/log/log.ts';
import { createServiceNotifier } from '../host/kernel/service-notifier.ts';
import { startWatchdog } from '../host/kernel/watchdog.ts';
import { requireSafeEnvironment } from './environment.ts';
import { startMeasurer } from './measure/measurer.ts';
import { startServer } from './server.ts';
import { readSettings } from './settings.ts';

/**
 * Runs the measuring half in this process until SIGTERM, SIGINT, or the end of the process that supervises it.
 * @throws AgentError `environment-unsafe`, `settings-invalid`; HostError; what makes the half itself fail
 */
export async function runMeasurer(settingsFile: string): Promise<void> {
  requireSafeEnvironment(process.env);
  await untilStopped(async (stopped) => {
    const log = createLog('sealborn-measure');
    const settings = await readSettings(settingsFile);
    const notify = await createServiceNotifier(process.env, log);
    const measurer = await startMeasurer(settings, {
      log,
      notify,
      now: () => new Date(),
      environment: process.env,
    });
    const endWatchdog = startWatchdog(process.env, notify, measurer.isWell);
    // Where there is nothing left to measure (refused, say), the verdict still has to be said.
    await Promise.race([stopped, measurer.ended.then(() => stopped)]);
    notify('STOPPING=1');
    endWatchdog();
    await measurer.close();
  });
}

/**
 * Runs the serving half in this process until SIGTERM, SIGINT, or the end of the process that supervises it.
 * @throws AgentError `environment-unsafe`, `settings-invalid`; HostError
 */
export async function runServer(settingsFile: string): Promise<void> {
  requireSafeEnvironment(process.env);
  await untilStopped(async (stopped) => {
    const log = createLog('sealborn');
    const settings = await readSettings(settingsFile);
    const notify = await createServiceNotifier(process.env, log);
    const server = await startServer(settings, {
      log,
      notify,
      now: () => new Date(),
      environment: process.env,
    });
    const endWatchdog = startWatchdog(process.env, notify, server.isWell);
    await stopped;
    notify('STOPPING=1');
    endWatchdog();
    await server.close();
  });
}

/** The ends of a half: two signals, and the end of the supervisor that holds a channel to it. */
const ENDS = ['SIGTERM', 'SIGINT', 'disconnect'] as const;

async function untilStopped(run: (stopped: Promise<void>) => Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const end of ENDS) process.once(end, resolve);
  try {
    await run(promise);
  } finally {
    for (const end of ENDS) process.off(end, resolve);
    // The channel would keep this process alive.
    if (process.connected) process.disconnect?.();
  }
}

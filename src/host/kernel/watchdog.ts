import type { ServiceNotifier } from './service-notifier.ts';

/**
 * Tells systemd's watchdog (sd_watchdog_enabled(3)) that this process is well, at half of the time after which
 * systemd would end and restart it; and keeps silent while `isWell` says no. An event loop that is stuck keeps
 * silent by itself. Does nothing where the unit sets no WatchdogSec=.
 * @returns what ends it
 */
export function startWatchdog(
  { WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv,
  notify: ServiceNotifier,
  isWell: () => boolean,
): () => void {
  const microseconds = Number(WATCHDOG_USEC ?? 0);
  const isMeant = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid);
  if (!isMeant || !(microseconds > 0)) return () => undefined;
  const timer = setInterval(() => {
    if (isWell()) notify('WATCHDOG=1');
  }, microseconds / 2000);
  return () => clearInterval(timer);
}

import type { Progress } from '../../host/measure/hash-pool.ts';
import type { Log } from '../../host/log/log.ts';
import type { ServiceNotifier } from '../../host/kernel/service-notifier.ts';

/** systemd is told this often, the log that seldom. */
const NOTIFY_EVERY_SECONDS = 1;
const LOG_EVERY_SECONDS = 10;
/** What a start may take from each sign of life on, so that a slow disk does not get the agent killed. */
const EXTEND_MICROSECONDS = 60_000_000;

/** Tells systemd and the log how far the first measurement is, and how things stand by then: `state`. */
export function createProgressTeller(
  log: Log,
  notify: ServiceNotifier,
  state: () => string,
): (progress: Progress) => void {
  let notifiedAt = 0;
  let loggedAt = 0;
  return (progress) => {
    const { seconds } = progress;
    if (seconds - notifiedAt < NOTIFY_EVERY_SECONDS) return;
    notifiedAt = seconds;
    const words = `${state()}: ${wordsOf(progress)}`;
    notify(`STATUS=${words}\nEXTEND_TIMEOUT_USEC=${EXTEND_MICROSECONDS}`);
    if (seconds - loggedAt < LOG_EVERY_SECONDS) return;
    loggedAt = seconds;
    log.info({ code: 'progress', ...progress }, words);
  };
}

function wordsOf({ files, totalFiles, bytes, totalBytes }: Progress): string {
  const share =
    totalBytes === undefined || totalBytes === 0 ? '' : ` (${Math.floor((bytes / totalBytes) * 100)}%)`;
  const of = totalFiles === undefined ? '' : ` of ${totalFiles}`;
  return `${files}${of} files read${share}`;
}

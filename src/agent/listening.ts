import { messageOf } from '../base/errors.ts';
import type { Log } from '../host/log/log.ts';

/** What a client of any socket of HTTP may take to send its headers; a whole request may take twice that. */
export const HEADERS_TIMEOUT_MS = 5000;

/** Writes what went wrong inside while a request was answered to the log; the client hears none of it. */
export function tellOfError(thrown: unknown, log: Log): void {
  log.error({ code: 'internal' }, `a request failed: ${messageOf(thrown)}`);
}

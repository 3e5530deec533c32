import { destination, pino } from 'pino';

import { escapeText } from '../../base/display.ts';

/**
 * One line of JSON an event: `fields`, then words for people. A field `code` is a stable word that monitoring
 * can match. Control characters of the words are escaped, so that a file's name can't move a cursor.
 */
export type Log = {
  info: (fields: object, message: string) => void;
  warn: (fields: object, message: string) => void;
  error: (fields: object, message: string) => void;
};

/** Bytes of lines that wait where they can't be written; further ones are dropped. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * A log to standard output, which systemd and container engines collect: `level`, `time` (RFC 3339),
 * `program`, the fields, `msg`. Lines are written at once, so the last one before a crash is there.
 */
export function createLog(program: string, fd = 1): Log {
  const lines = destination({ fd, sync: true, maxLength: MAX_WAITING_BYTES });
  // A log that can't be written (a full disk, a closed pipe) must not end what it logs: lines are lost then.
  lines.on('error', () => undefined);
  const logger = pino(
    {
      base: { program },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    lines,
  );
  return {
    info: (fields, message) => logger.info(fields, escapeText(message)),
    warn: (fields, message) => logger.warn(fields, escapeText(message)),
    error: (fields, message) => logger.error(fields, escapeText(message)),
  };
}

/** Says nothing. */
export const SILENT_LOG: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

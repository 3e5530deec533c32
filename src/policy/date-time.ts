import { EvaluationError } from './evaluation-error.ts';
import { type Long, MAX_LONG, addLong, divideLong, longOf, moduloLong, subtractLong } from './long.ts';

/** Cedar's datetime: a moment, in milliseconds since 1970-01-01T00:00:00Z. */
export type DateTime = { readonly kind: 'datetime'; readonly ms: Long };
/** Cedar's duration: a length of time in milliseconds, also negative. */
export type Duration = { readonly kind: 'duration'; readonly ms: Long };

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const DATE_TIME =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}))?(?:Z|([+-])([0-9]{2})([0-9]{2})))?$/;

/**
 * Reads `YYYY-MM-DD`, or that and `Thh:mm:ss`, `.SSS` or nothing, and `Z`, `+hhmm` or `-hhmm` (RFC 80 of Cedar).
 * No leap seconds.
 * @throws EvaluationError
 */
export function parseDateTime(text: string): DateTime {
  const match = DATE_TIME.exec(text);
  if (match === null) return badDateTime(text);
  const part = (index: number): number => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  const [milliseconds, offsetHour, offsetMinute] = [part(7), part(9), part(10)];
  if (month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) return badDateTime(text);
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59)
    return badDateTime(text);
  const local = daysSinceEpoch(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second * SECOND;
  const offset = (offsetHour * HOUR + offsetMinute * MINUTE) * (match[8] === '-' ? -1 : 1);
  return { kind: 'datetime', ms: local + milliseconds - offset + 0 };
}

function daysOfMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const date = new Date(0);
  // setUTCFullYear takes the years 0 to 99 as they are, which Date.UTC does not.
  date.setUTCFullYear(year, month - 1, day);
  return date.getTime() / DAY;
}

const DURATION = /^(-)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?$/;

/**
 * Reads `1d2h3m4s5ms`: any of the parts, in this order, with `-` before the whole (RFC 80 of Cedar).
 * @throws EvaluationError
 */
export function parseDuration(text: string): Duration {
  const match = text === '' || text === '-' ? null : DURATION.exec(text);
  if (match === null) {
    throw new EvaluationError(`${JSON.stringify(text.slice(0, 64))} is not a duration such as "1h30m"`);
  }
  const [, sign, ...quantities] = match;
  let total = 0n;
  for (const [index, unit] of [DAY, HOUR, MINUTE, SECOND, 1].entries()) {
    const quantity = quantities[index];
    if (quantity === undefined) continue;
    // A number this long overflows, and making a bigint of it costs time that grows with its square.
    const value = quantity.length > 1000 ? MAX_LONG * 2n : BigInt(quantity);
    const part = value * BigInt(unit);
    const lowest = unit === 1 && sign === '-' && part === MAX_LONG + 1n;
    if (part > MAX_LONG && !lowest) return durationOverflow(text);
    total += part;
  }
  return { kind: 'duration', ms: longOf(sign === '-' ? -total : total) ?? durationOverflow(text) };
}

/** A text that `parseDuration` reads as the same value. */
export function formatDuration({ ms }: Duration): string {
  return `${ms}ms`;
}

/** The moment that is `duration` after `moment`. @throws EvaluationError on overflow */
export function offset(moment: DateTime, duration: Duration): DateTime {
  return { kind: 'datetime', ms: addLong(moment.ms, duration.ms) };
}

/** How long `moment` is after `other`. @throws EvaluationError on overflow */
export function durationSince(moment: DateTime, other: DateTime): Duration {
  return { kind: 'duration', ms: subtractLong(moment.ms, other.ms) };
}

/** The midnight (UTC) at or before a moment. @throws EvaluationError on overflow */
export function toDate({ ms }: DateTime): DateTime {
  return { kind: 'datetime', ms: subtractLong(ms, moduloLong(ms, DAY)) };
}

/** The time since the midnight (UTC) at or before a moment. */
export function toTime({ ms }: DateTime): Duration {
  return { kind: 'duration', ms: moduloLong(ms, DAY) };
}

/** A duration in whole units, cut toward zero. */
export const DURATION_UNITS = {
  toMilliseconds: ({ ms }: Duration): Long => ms,
  toSeconds: ({ ms }: Duration): Long => divideLong(ms, SECOND),
  toMinutes: ({ ms }: Duration): Long => divideLong(ms, MINUTE),
  toHours: ({ ms }: Duration): Long => divideLong(ms, HOUR),
  toDays: ({ ms }: Duration): Long => divideLong(ms, DAY),
} as const;

function badDateTime(text: string): never {
  throw new EvaluationError(
    `${JSON.stringify(text.slice(0, 64))} is not a datetime such as "2026-11-23T12:00:00Z"`,
  );
}

function durationOverflow(text: string): never {
  throw new EvaluationError(`the duration ${text.slice(0, 64)} is out of range`);
}

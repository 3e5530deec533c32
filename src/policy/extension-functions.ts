import {
  type DateTime,
  DURATION_UNITS,
  type Duration,
  durationSince,
  offset,
  parseDateTime,
  parseDuration,
  toDate,
  toTime,
} from './date-time.ts';
import { type Decimal, parseDecimal } from './decimal.ts';
import { EvaluationError } from './evaluation-error.ts';
import { type IpAddress, isInRange, isLoopback, isMulticast, parseIpAddress } from './ip-address.ts';
import { type Extension, type Value, typeName } from './value.ts';

/** A function or method of an extension type; a method's object is its first argument. */
export type ExtensionFunction = {
  arguments: number;
  /** Makes a value from a text, so that JSON may call it (`__extn`). */
  isConstructor?: true;
  call: (args: readonly Value[]) => Value;
};

const constructor = (parse: (text: string) => Value): ExtensionFunction => ({
  arguments: 1,
  isConstructor: true,
  call: ([text]) => (typeof text === 'string' ? parse(text) : mistyped('string', text)),
});
const one = <T>(take: (value: Value | undefined) => T, run: (object: T) => Value): ExtensionFunction => ({
  arguments: 1,
  call: ([object]) => run(take(object)),
});
const two = <T, U>(
  take: (value: Value | undefined) => T,
  takeOther: (value: Value | undefined) => U,
  run: (object: T, other: U) => Value,
): ExtensionFunction => ({ arguments: 2, call: ([a, b]) => run(take(a), takeOther(b)) });

const decimal = (value: Value | undefined): Decimal => take('decimal', value) as Decimal;
const ip = (value: Value | undefined): IpAddress => take('ipaddr', value) as IpAddress;
const datetime = (value: Value | undefined): DateTime => take('datetime', value) as DateTime;
const duration = (value: Value | undefined): Duration => take('duration', value) as Duration;

/** All functions of Cedar 4.5's extensions: decimal, ipaddr, datetime and duration. */
export const EXTENSION_FUNCTIONS: ReadonlyMap<string, ExtensionFunction> = new Map<string, ExtensionFunction>(
  [
    ['decimal', constructor(parseDecimal)],
    ['lessThan', two(decimal, decimal, (a, b) => a.scaled < b.scaled)],
    ['lessThanOrEqual', two(decimal, decimal, (a, b) => a.scaled <= b.scaled)],
    ['greaterThan', two(decimal, decimal, (a, b) => a.scaled > b.scaled)],
    ['greaterThanOrEqual', two(decimal, decimal, (a, b) => a.scaled >= b.scaled)],

    ['ip', constructor(parseIpAddress)],
    ['isIpv4', one(ip, ({ version }) => version === 4)],
    ['isIpv6', one(ip, ({ version }) => version === 6)],
    ['isLoopback', one(ip, isLoopback)],
    ['isMulticast', one(ip, isMulticast)],
    ['isInRange', two(ip, ip, isInRange)],

    ['datetime', constructor(parseDateTime)],
    // The form in which Cedar writes a moment that no text of a datetime can name.
    ['offset', { ...two(datetime, duration, offset), isConstructor: true }],
    ['durationSince', two(datetime, datetime, durationSince)],
    ['toDate', one(datetime, toDate)],
    ['toTime', one(datetime, toTime)],

    ['duration', constructor(parseDuration)],
    ['toMilliseconds', one(duration, DURATION_UNITS.toMilliseconds)],
    ['toSeconds', one(duration, DURATION_UNITS.toSeconds)],
    ['toMinutes', one(duration, DURATION_UNITS.toMinutes)],
    ['toHours', one(duration, DURATION_UNITS.toHours)],
    ['toDays', one(duration, DURATION_UNITS.toDays)],
  ],
);

/** The function that makes a value of an extension type from a text. */
export const CONSTRUCTOR_OF: ReadonlyMap<string, string> = new Map([
  ['decimal', 'decimal'],
  ['ipaddr', 'ip'],
  ['datetime', 'datetime'],
  ['duration', 'duration'],
]);

function take(kind: Extension['kind'], value: Value | undefined): Value {
  return typeof value === 'object' && value.kind === kind ? value : mistyped(kind, value);
}

function mistyped(expected: string, value: Value | undefined): never {
  throw new EvaluationError(
    `type error: expected ${expected}, found ${value === undefined ? 'nothing' : typeName(value)}`,
  );
}

import { BaseError } from './errors.ts';
import { type Sha256, isSha256 } from './digest.ts';
import type { JsonObject } from './json.ts';

/** Where a field is: keys and indexes from the top. */
export type FieldPath = readonly (string | number)[];
export type Problem = { path: FieldPath; message: string };

/**
 * Reads one value: gives the narrow type back, or adds what is wrong to `problems`, whose paths begin with `path`.
 * What it gives back after it added a problem is never used: `readShape` throws then.
 */
export type Reader<T> = (value: unknown, path: FieldPath, problems: Problem[]) => T;
export type Read<R> = R extends Reader<infer T> ? T : never;

/** All fields that are wrong, each by its path. */
export class ShapeError extends BaseError {
  readonly problems: readonly Problem[];
  constructor(what: string, problems: readonly Problem[]) {
    const shown = problems.slice(0, 20).map((p) => `${formatFieldPath(p.path)}: ${p.message}`);
    const more = problems.length > 20 ? `; and ${problems.length - 20} more` : '';
    super('shape-invalid', `${what}: ${shown.join('; ')}${more}`);
    this.problems = problems;
  }
}

/** `a.b[2]`, or `(top)`. */
export function formatFieldPath(path: FieldPath): string {
  let out = '';
  for (const step of path) {
    if (typeof step === 'number') out += `[${step}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(step)) out += out === '' ? step : `.${step}`;
    else out += `[${JSON.stringify(step)}]`;
  }
  return out === '' ? '(top)' : out;
}

/**
 * Runs a reader over a whole document.
 * @throws ShapeError with every problem found, not the first alone
 */
export function readShape<T>(reader: Reader<T>, value: unknown, what: string): T {
  const problems: Problem[] = [];
  const out = reader(value, TOP, problems);
  if (problems.length > 0) throw new ShapeError(what, problems);
  return out;
}

function fail(problems: Problem[], path: FieldPath, message: string): never {
  problems.push({ path, message });
  return undefined as never;
}

/**
 * Reads what stands in a field or at an index. Where it is leads to a path only once something is wrong: of most
 * requests nothing is.
 */
function readMember<T>(
  reader: Reader<T>,
  value: unknown,
  path: FieldPath,
  step: string | number,
  problems: Problem[],
): T {
  const before = problems.length;
  const out = reader(value, TOP, problems);
  for (let index = before; index < problems.length; index += 1) {
    const problem = problems[index];
    if (problem !== undefined) problems[index] = { ...problem, path: [...path, step, ...problem.path] };
  }
  return out;
}

const TOP: FieldPath = [];

/** A string of `min` (default 1) to `max` UTF-16 units (default 4,096), matching `pattern` where given. */
export function text(
  options: { min?: number; max?: number; pattern?: RegExp; is?: string } = {},
): Reader<string> {
  const { min = 1, max = 4096, pattern, is = 'a string' } = options;
  return (value, path, problems) => {
    if (typeof value !== 'string') return fail(problems, path, `must be ${is}, not ${kindOf(value)}`);
    if (value.length < min) return fail(problems, path, 'must not be empty');
    if (value.length > max) return fail(problems, path, `is longer than ${max} characters`);
    if (pattern !== undefined && !pattern.test(value)) return fail(problems, path, `must be ${is}`);
    return value;
  };
}

/** A whole number from `min` to `max`, both included; never beyond 2^53 - 1. */
export function whole(min = 0, max: number = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (value, path, problems) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      return fail(problems, path, `must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** A finite number from `min` to `max`, both included. */
export function number(min: number, max: number): Reader<number> {
  return (value, path, problems) =>
    typeof value === 'number' && value >= min && value <= max
      ? value
      : fail(problems, path, `must be a number from ${min} to ${max}`);
}

export const bool: Reader<boolean> = (value, path, problems) =>
  typeof value === 'boolean' ? value : fail(problems, path, `must be true or false, not ${kindOf(value)}`);

/** A SHA-256 digest as 64 lower-case hexadecimal digits. */
export const digest: Reader<Sha256> = (value, path, problems) =>
  isSha256(value) ? value : fail(problems, path, 'must be a SHA-256 digest in lower-case hexadecimal');

/** A moment as RFC 3339 in UTC, to the second or finer: `2026-11-23T12:00:00Z`. */
export const moment: Reader<string> = (value, path, problems) =>
  typeof value === 'string' &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/.test(value) &&
  !Number.isNaN(Date.parse(value))
    ? value
    : fail(problems, path, 'must be a UTC time such as 2026-11-23T12:00:00Z');

/** One of the given words. */
export function oneOf<const W extends string>(...words: readonly W[]): Reader<W> {
  return (value, path, problems) =>
    words.includes(value as W) ? (value as W) : fail(problems, path, `must be one of ${words.join(', ')}`);
}

/** A list of at least `min` and at most `max` items (default 0 to 10,000). */
export function list<T>(item: Reader<T>, options: { min?: number; max?: number } = {}): Reader<T[]> {
  const { min = 0, max = 10_000 } = options;
  return (value, path, problems) => {
    if (!Array.isArray(value)) return fail(problems, path, `must be a list, not ${kindOf(value)}`);
    if (value.length < min) return fail(problems, path, `must have at least ${min}`);
    if (value.length > max) return fail(problems, path, `has ${value.length} items; at most ${max} are read`);
    return value.map((member, index) => readMember(item, member, path, index, problems));
  };
}

/** An object used as a dictionary: any keys (of at most 1,024 characters), all values alike. */
export function dictionary<T>(item: Reader<T>, options: { max?: number } = {}): Reader<Map<string, T>> {
  const { max = 100_000 } = options;
  return (value, path, problems) => {
    if (!isObject(value)) return fail(problems, path, `must be a mapping, not ${kindOf(value)}`);
    const keys = Object.keys(value);
    if (keys.length > max) return fail(problems, path, `has ${keys.length} keys; at most ${max} are read`);
    const out = new Map<string, T>();
    for (const key of keys) {
      if (key.length > 1024) problems.push({ path, message: 'has a key longer than 1024 characters' });
      out.set(key, readMember(item, value[key], path, key, problems));
    }
    return out;
  };
}

/** Any object of JSON, as it is; `is` says in a message what it must be. */
export function jsonObject(is = 'a mapping'): Reader<JsonObject> {
  return (value, path, problems) =>
    isObject(value) ? (value as JsonObject) : fail(problems, path, `must be ${is}`);
}

/** Marks a field that may be absent. `null` is not absent. */
export type Optional<T> = { readonly optional: Reader<T> };
export function optional<T>(reader: Reader<T>): Optional<T> {
  return { optional: reader };
}

type Fields = { readonly [name: string]: Reader<unknown> | Optional<unknown> };
type RequiredNames<F extends Fields> = {
  [K in keyof F]: F[K] extends Reader<unknown> ? K : never;
}[keyof F];
export type RecordOf<F extends Fields> = {
  [K in RequiredNames<F>]: F[K] extends Reader<infer T> ? T : never;
} & {
  [K in Exclude<keyof F, RequiredNames<F>>]?: F[K] extends Optional<infer T> ? T : never;
};

/**
 * An object with exactly these fields. An unknown field is a problem (a misspelt setting must never be
 * silently without effect) unless `open` is set, for formats whose standard says to ignore what one does not
 * know.
 */
export function record<const F extends Fields>(
  fields: F,
  options: { open?: boolean } = {},
): Reader<RecordOf<F>> {
  const known = Object.entries(fields).map(([name, field]) =>
    typeof field === 'function'
      ? { name, reader: field, isRequired: true }
      : { name, reader: field.optional, isRequired: false },
  );
  return (value, path, problems) => {
    if (!isObject(value)) return fail(problems, path, `must be a mapping, not ${kindOf(value)}`);
    const out: Record<string, unknown> = {};
    for (const { name, reader, isRequired } of known) {
      const member = Object.hasOwn(value, name) ? value[name] : undefined;
      if (member !== undefined) out[name] = readMember(reader, member, path, name, problems);
      else if (isRequired) problems.push({ path: [...path, name], message: 'is missing' });
    }
    if (options.open !== true) {
      for (const name of Object.keys(value)) {
        if (!Object.hasOwn(fields, name)) {
          problems.push({
            path: [...path, name],
            message: `is not known here; known: ${Object.keys(fields).join(', ')}`,
          });
        }
      }
    }
    return out as RecordOf<F>;
  };
}

/** Reads with one reader, then turns the value into another; what `convert` throws becomes a problem. */
export function mapped<T, U>(reader: Reader<T>, convert: (value: T) => U): Reader<U> {
  return (value, path, problems) => {
    const before = problems.length;
    const read = reader(value, path, problems);
    if (problems.length > before) return undefined as never;
    try {
      return convert(read);
    } catch (thrown) {
      return fail(problems, path, thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
}

/** Whether `value` is a plain JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return 'a string';
  return `a ${typeof value}`;
}

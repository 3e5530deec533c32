import { EVERYTHING_CLAIMED, formatPointer, readPointer } from '../../base/decision-log-rules.ts';
import { findCredentials, holdsCredential } from '../credentials.ts';
import { valueJson } from './question-json.ts';

/** What was asked as a line of the decision log has it: JSON, and the JSON Pointers of what was left out. */
export type LoggedInput = { json: string; erased: string[] };

/** Characters of a question's JSON at most; of a larger one, what it claims is left out. */
const MAX_INPUT = 64 * 1024;

/** Credentials that are left out one by one at most: more of them would make a line of their paths alone. */
const MAX_CREDENTIALS = 16;

const CLAIMS = EVERYTHING_CLAIMED.map((pointer) => pathOf(pointer));

/**
 * Makes what turns a question into JSON without the fields that the mask names, without credentials, and of
 * bounded size. A key is left out with its value; an item of a list becomes null, so that the others keep
 * their places.
 * @param mask JSON Pointers below `/input`
 * @returns a function of a question and of what makes JSON of a whole one
 */
export function createMasker(
  mask: readonly string[],
): <Question extends object>(question: Question, toJson: (whole: Question) => string) => LoggedInput {
  const paths = mask.flatMap((pointer) => pathsOf(pointer));
  return (question, toJson) => {
    const erased: string[] = [];
    let kept: object = question;
    const leaveOut = (paths: readonly (readonly string[])[]): void => {
      for (const path of paths) {
        if (!reaches(kept, path)) continue;
        kept = without(kept, path) as object;
        erased.push(formatPointer(['input', ...path]));
      }
    };
    leaveOut(paths);
    let json = erased.length === 0 ? toJson(question) : valueJson(kept);
    if (json.length > MAX_INPUT) {
      leaveOut(CLAIMS);
      json = valueJson(kept);
    }
    if (!holdsCredential(json)) return { json, erased };
    const found = findCredentials(kept);
    if (found.length <= MAX_CREDENTIALS) leaveOut(found);
    json = valueJson(kept);
    if (holdsCredential(json)) {
      leaveOut(CLAIMS);
      leaveOut(findCredentials(kept)); // of the few names that are left
      json = valueJson(kept);
    }
    return { json, erased };
  };
}

/** An action's properties are part of the context (policy/authzen.ts), so what is secret there is secret in both. */
function pathsOf(pointer: string): string[][] {
  const path = pathOf(pointer);
  const [part, ...rest] = path;
  return part === 'context' ? [path, ['action', 'properties', ...rest]] : [path];
}

/** The path below `input`. */
function pathOf(pointer: string): string[] {
  return readPointer(pointer).slice(1);
}

function reaches(value: unknown, path: readonly string[]): boolean {
  let here = value;
  for (const key of path) {
    // Of a list, `length` is its own too, and not a part that a pointer names.
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return false;
    if (Array.isArray(here) && key === 'length') return false;
    here = (here as Record<string, unknown>)[key];
  }
  return true;
}

/** A copy along the path; the rest is shared. */
function without(value: unknown, [key = '', ...rest]: readonly string[]): unknown {
  if (Array.isArray(value)) {
    const list = value as unknown[];
    return list.map((item, index) => {
      if (String(index) !== key) return item;
      return rest.length === 0 ? null : without(item, rest);
    });
  }
  const copy: Record<string, unknown> = Object.assign(Object.create(null), value);
  if (rest.length === 0) delete copy[key];
  else copy[key] = without(copy[key], rest);
  return copy;
}

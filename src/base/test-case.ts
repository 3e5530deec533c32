import { type EntityUid, entityUid } from './entity-uid.ts';
import type { JsonObject } from './json.ts';
import { type Optional, type Reader, list, optional, text } from './shape.ts';

/** One question of a matrix of `tests/` and the answer it must have. */
export type TestCase = {
  file: string;
  line: number;
  /** The test's name; of a test of requests, with the request. */
  test: string;
  principal: EntityUid;
  action: string;
  resource: EntityUid;
  context: JsonObject | undefined;
  properties: JsonObject | undefined;
  /** The environments whose releases it is for; undefined for all. */
  environments: string[] | undefined;
  expected: boolean;
};

/** Cases of one file at most: what a build can run in a minute. */
export const MAX_CASES = 100_000;

/** The fields that every matrix has, of questions or of requests. */
export const matrixFields: {
  name: Reader<string>;
  environments: Optional<string[]>;
  principals: Reader<EntityUid[]>;
  permit: Reader<string[]>;
} = {
  name: text({ max: 256 }),
  environments: optional(list(text({ max: 64 }), { min: 1, max: 64 })),
  principals: list(entityUid, { min: 1, max: 1000 }),
  permit: list(text({ max: 65_536 }), { max: MAX_CASES }),
};

/** Matrices of one file. */
export const MAX_MATRICES = 10_000;

/** What a matrix permits, by its words with single spaces; the value is its place in `permit`. */
export function permitsOf(permit: readonly string[]): Map<string, number> {
  return new Map(permit.map((words, at) => [words.trim().replaceAll(/\s+/g, ' '), at]));
}

/** Whether one of the spellings of a case is permitted; what is left in `permits` in the end is no case. */
export function takePermit(permits: Map<string, number>, spellings: readonly string[]): boolean {
  return spellings.map((words) => permits.delete(words)).includes(true);
}

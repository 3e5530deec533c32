import type { EntityUid } from '../base/entity-uid.ts';
import { type JsonObject, type JsonValue, parseJson } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import { PolicyError } from './policy-error.ts';

/** An entity that a release bakes in; values are Cedar's JSON, readable without a schema. */
export type BakedEntity = {
  uid: EntityUid;
  attrs: JsonObject;
  parents: EntityUid[];
  tags?: JsonObject;
};

/** Entities of a document at most. */
export const MAX_ENTITIES = 1_000_000;
/** One entity's line at most; a line is decoded whole. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

const OPENING = Buffer.from('{"entities":[\n');
const NEWLINE = 10;
const COMMA = 44;

/**
 * Takes the entities out of a document that is written as `formatPolicyDocument` writes it, one a line, and
 * gives the document without them. JSON has no raw newline inside a value, so a line that is one JSON value is
 * the value that reading the whole would give; but the whole is never held as a tree, which for 100,000
 * entities would be 250 MB. Each line is read when it is come to, and again if it is come to again.
 * @returns undefined where the document is not written that way, and must be read as a whole
 */
export function takeEntityLines(
  bytes: Buffer,
  maxDepth: number,
): { entities: Iterable<BakedEntity>; rest: Buffer } | undefined {
  if (!bytes.subarray(0, OPENING.length).equals(OPENING)) return undefined;
  for (let at = OPENING.length; ;) {
    const newline = bytes.indexOf(NEWLINE, at);
    if (newline < 0) return undefined;
    at = newline + 1;
    if (bytes[newline - 1] === COMMA) continue;
    const lines = bytes.subarray(OPENING.length, at);
    return {
      entities: { [Symbol.iterator]: () => readLines(lines, maxDepth) },
      rest: Buffer.concat([Buffer.from('{"entities":['), bytes.subarray(at)]),
    };
  }
}

/** @throws BaseError where a line is no JSON, PolicyError `document-invalid` where it is no entity */
function* readLines(lines: Buffer, maxDepth: number): Generator<BakedEntity, undefined> {
  const read = createEntityReader();
  for (let at = 0, count = 1; at < lines.length; count += 1) {
    if (count > MAX_ENTITIES) throw invalid(`policy.json: there are more than ${MAX_ENTITIES} entities`);
    const newline = lines.indexOf(NEWLINE, at);
    const end = newline + 1 < lines.length ? newline - 1 : newline;
    const what = `policy.json: entity ${count}`;
    yield read(parseJson(lines.subarray(at, end), what, { maxBytes: MAX_LINE_BYTES, maxDepth }), what);
    at = newline + 1;
  }
}

/**
 * An entity as a line of `policy.json`: `[type, id, attrs, parents, tags]`, parents as `[type, id]`, the tags only
 * where there are some. Lists, because reading them takes half the time of reading objects.
 */
export function entityRow({ uid, attrs, parents, tags }: BakedEntity): JsonValue[] {
  const row = [uid.type, uid.id, attrs, parents.map(({ type, id }) => [type, id])];
  return tags === undefined ? row : [...row, tags];
}

/**
 * Reads entities from their rows. Names of groups that many are in are held once.
 * @throws PolicyError `document-invalid` where a row is none
 */
export function createEntityReader(): (row: unknown, what: string) => BakedEntity {
  const known = new Map<string, Map<string, EntityUid>>();
  const idsOf = (type: string): Map<string, EntityUid> => {
    let ofType = known.get(type);
    if (ofType === undefined) known.set(type, (ofType = new Map()));
    return ofType;
  };
  const shared = (pair: unknown): EntityUid | undefined => {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    const [type, id] = pair as unknown[];
    if (typeof type !== 'string' || typeof id !== 'string') return undefined;
    const ofType = idsOf(type);
    let uid = ofType.get(id);
    if (uid === undefined) ofType.set(id, (uid = { type, id }));
    return uid;
  };
  return (row, what) => {
    const [type, id, attrs, pairs, tags] = Array.isArray(row) ? (row as unknown[]) : [];
    const parents = Array.isArray(pairs) ? pairs.map(shared) : [undefined];
    const isRow =
      typeof type === 'string' && typeof id === 'string' && isObject(attrs) && (row as unknown[]).length < 6;
    if (
      !isRow ||
      !parents.every((parent) => parent !== undefined) ||
      (tags !== undefined && !isObject(tags))
    ) {
      throw invalid(`${what} must be [type, id, attributes, parents] and perhaps its tags`);
    }
    const entity = { uid: { type, id }, attrs: attrs as JsonObject, parents };
    return tags === undefined ? entity : { ...entity, tags: tags as JsonObject };
  };
}

function invalid(problem: string): PolicyError {
  return new PolicyError('document-invalid', problem);
}

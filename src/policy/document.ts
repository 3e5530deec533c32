import { type EntityUid, formatUid } from '../base/entity-uid.ts';
import { BaseError, messageOf } from '../base/errors.ts';
import { type JsonObject, canonicalJson, parseJson } from '../base/json.ts';
import {
  type Reader,
  jsonObject,
  list,
  mapped,
  oneOf,
  optional,
  readShape,
  record,
  text,
  whole,
} from '../base/shape.ts';
import {
  type BakedEntity,
  MAX_ENTITIES,
  createEntityReader,
  entityRow,
  takeEntityLines,
} from './entity-lines.ts';
import { PolicyError } from './policy-error.ts';

export { type EntityUid, formatUid } from '../base/entity-uid.ts';

/** Where a policy was written: its file, from the root of the policy repository, and its first line. */
export type PolicyPlace = { id: string; file: string; line: number };

/**
 * One policy in Cedar's JSON policy format, with the place it was written at; a template's link is a policy
 * with its slots filled. Two things differ from Cedar's format: `&&` and `||` also take a list of any length,
 * so that long chains do not nest, and integers are never rounded.
 */
export type CompiledPolicy = PolicyPlace & {
  effect: 'permit' | 'forbid';
  principal: JsonObject;
  action: JsonObject;
  resource: JsonObject;
  conditions: { kind: 'when' | 'unless'; body: JsonObject }[];
};

/** `policy.json`: who may do what, whole. */
export type PolicyDocument = {
  format: 1;
  /** Cedar's JSON schema format, names resolved. */
  schema: JsonObject;
  policies: CompiledPolicy[];
  entities: BakedEntity[];
  /** Entity types whose attributes a request may describe. */
  openTypes: string[];
  /** How HTTP requests become questions, and who may ask: read by the room access/. */
  access?: JsonObject;
};

/** Bytes of a document at most; 100,000 entities take some 14 MB. */
const MAX_DOCUMENT_BYTES = 128 * 1024 * 1024;
const MAX_POLICIES = 100_000;
/** An expression of `MAX_EXPRESSION_DEPTH` operators takes two levels of JSON each, a few around it. */
const MAX_DOCUMENT_DEPTH = 256;

const object = jsonObject();

/** By hand rather than with a reader for each field: of a large release entities are nearly all there is. */
const entityList: Reader<BakedEntity[]> = (value, path, problems) => {
  try {
    if (!Array.isArray(value) || value.length > MAX_ENTITIES) {
      throw new PolicyError('document-invalid', `must be a list of at most ${MAX_ENTITIES}`);
    }
    const read = createEntityReader();
    return value.map((entity: unknown, index) => read(entity, `entity ${index + 1}`));
  } catch (thrown) {
    problems.push({ path, message: messageOf(thrown) });
    return [];
  }
};

const documentShape = record({
  format: mapped(whole(1, 1), (): 1 => 1),
  schema: object,
  policies: list(
    record({
      id: text({ max: 1024 }),
      file: text({ max: 4096 }),
      line: whole(1),
      effect: oneOf('permit', 'forbid'),
      principal: object,
      action: object,
      resource: object,
      conditions: list(record({ kind: oneOf('when', 'unless'), body: object })),
    }),
    { max: MAX_POLICIES },
  ),
  entities: entityList,
  openTypes: list(text({ max: 1024 }), { max: 1024 }),
  access: optional(object),
});

/**
 * The bytes of `policy.json`: the same document is the same bytes. One policy or entity a line, so that a
 * comparison of two releases by line shows what changed.
 */
export function formatPolicyDocument({ entities, policies, ...rest }: PolicyDocument): Buffer {
  const lines = (items: readonly unknown[]): string =>
    items.length === 0 ? '[]' : `[\n${items.map((item) => canonicalJson(item)).join(',\n')}\n]`;
  const head = Object.entries(rest)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `"${name}":${canonicalJson(value)}`);
  const text = [`"entities":${lines(entities.map(entityRow))}`, ...head, `"policies":${lines(policies)}`];
  return Buffer.from(`{${text.join(',\n')}}\n`);
}

/** A document whose entities are read as they are come to; they are checked only by whoever comes to all of them. */
export type OpenPolicyDocument = Omit<PolicyDocument, 'entities'> & { entities: Iterable<BakedEntity> };

/**
 * Reads `policy.json` and refuses what could permit nothing or is ambiguous.
 * @throws PolicyError `document-too-large`, `document-invalid`, `policy-empty`, `policy-no-permit`,
 * `policy-duplicate-id`, `entities-invalid`
 */
export function parsePolicyDocument(bytes: Uint8Array): PolicyDocument {
  const open = openPolicyDocument(bytes);
  const document = reading(() => ({ ...open, entities: [...open.entities] }));
  requireUsable(document);
  return document;
}

/**
 * The same, but for the entities: of a large release they are nearly all there is, and `createEngine`, which reads and
 * checks each of them, needs none of them for longer than that.
 */
export function openPolicyDocument(bytes: Uint8Array): OpenPolicyDocument {
  if (bytes.length > MAX_DOCUMENT_BYTES) {
    throw new PolicyError(
      'document-too-large',
      `policy.json is ${bytes.length} bytes; at most ${MAX_DOCUMENT_BYTES} are read`,
    );
  }
  const limits = { maxBytes: MAX_DOCUMENT_BYTES, maxDepth: MAX_DOCUMENT_DEPTH, isKept: true };
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return reading(() => {
    const taken = takeEntityLines(whole, MAX_DOCUMENT_DEPTH);
    const value = parseJson(taken?.rest ?? whole, 'policy.json', limits);
    const document: PolicyDocument = readShape(documentShape, value, 'policy.json');
    requireUsablePolicies(document);
    return taken === undefined ? document : { ...document, entities: taken.entities };
  });
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof BaseError) || cause instanceof PolicyError) throw cause;
    throw new PolicyError('document-invalid', cause.message, { cause });
  }
}

/**
 * Refuses policies of which none can permit, and ids or entities that stand twice.
 * @throws PolicyError
 */
export function requireUsable(document: PolicyDocument): void {
  requireUsablePolicies(document);
  const seen = new Map<string, Set<string>>();
  for (const { uid } of document.entities) {
    let ids = seen.get(uid.type);
    if (ids === undefined) seen.set(uid.type, (ids = new Set()));
    if (ids.has(uid.id)) throw standsTwice(uid);
    ids.add(uid.id);
  }
}

/** The refusal of an entity that is in a document twice. */
export function standsTwice(uid: EntityUid): PolicyError {
  return new PolicyError('entities-invalid', `the entity ${formatUid(uid)} stands twice`);
}

function requireUsablePolicies({ policies }: Pick<PolicyDocument, 'policies'>): void {
  if (policies.length === 0) {
    throw new PolicyError('policy-empty', 'there is no policy', {
      hint: 'A release without a policy permits nothing; write at least one permit.',
    });
  }
  if (!policies.some(({ effect }) => effect === 'permit')) {
    throw new PolicyError('policy-no-permit', 'there is no permit, so every answer would be no', {
      hint: 'Write at least one permit policy.',
    });
  }
  requireDistinct(policies);
}

/**
 * Refuses two policies, templates or links of one name: an answer names the policy that decided it.
 * @throws PolicyError `policy-duplicate-id`
 */
export function requireDistinct(policies: readonly PolicyPlace[]): void {
  const places = new Map<string, PolicyPlace>();
  for (const policy of policies) {
    const other = places.get(policy.id);
    if (other !== undefined) {
      throw new PolicyError(
        'policy-duplicate-id',
        `${policy.file}:${policy.line}: the id "${policy.id}" stands at ${other.file}:${other.line} already`,
        { hint: 'Give each policy an @id of its own.' },
      );
    }
    places.set(policy.id, policy);
  }
}

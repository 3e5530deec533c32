import { BaseError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, canonicalJson, parseJson } from '../base/json.ts';
import { type Reader, list, mapped, oneOf, optional, readShape, record, text, whole } from '../base/shape.ts';
import { PolicyError } from './policy-error.ts';

/** An entity's name in Cedar. */
export type EntityUid = { type: string; id: string };

/** An entity that a release bakes in; values are Cedar's JSON, with `__entity` and `__extn`. */
export type BakedEntity = {
  uid: EntityUid;
  attrs: JsonObject;
  parents: EntityUid[];
  tags?: JsonObject;
};

/** One policy, with the place it was written at. */
export type CompiledPolicy = {
  id: string;
  /** From the root of the policy repository. */
  file: string;
  line: number;
  effect: 'permit' | 'forbid';
  text: string;
};

/** `policy.json`: who may do what, whole. */
export type PolicyDocument = {
  format: 1;
  schema: string;
  policies: CompiledPolicy[];
  entities: BakedEntity[];
  /** Entity types whose attributes a request may describe. */
  openTypes: string[];
};

/** Bytes of a document at most; 100,000 entities take some 20 MB. */
const MAX_DOCUMENT_BYTES = 128 * 1024 * 1024;
const MAX_POLICIES = 100_000;
const MAX_ENTITIES = 1_000_000;

const uid: Reader<EntityUid> = record({ type: text({ max: 1024 }), id: text({ min: 0, max: 65_536 }) });

const object: Reader<JsonObject> = (value, path, problems) => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  problems.push({ path, message: 'must be a mapping' });
  return {};
};

const documentShape: Reader<PolicyDocument> = record({
  format: mapped(whole(1, 1), (): 1 => 1),
  schema: text({ min: 0, max: 8 * 1024 * 1024 }),
  policies: list(
    record({
      id: text({ max: 1024 }),
      file: text({ max: 4096 }),
      line: whole(1),
      effect: oneOf('permit', 'forbid'),
      text: text({ max: 8 * 1024 * 1024 }),
    }),
    { max: MAX_POLICIES },
  ),
  entities: list(
    record({ uid, attrs: object, parents: list(uid, { max: 100_000 }), tags: optional(object) }),
    { max: MAX_ENTITIES },
  ),
  openTypes: list(text({ max: 1024 }), { max: 1024 }),
});

/** The bytes of `policy.json`: canonical, so that the same document is the same bytes. */
export function formatPolicyDocument(document: PolicyDocument): Buffer {
  return Buffer.from(canonicalJson(document));
}

/**
 * Reads `policy.json` and refuses what could permit nothing or is ambiguous.
 * @throws PolicyError `document-too-large`, `document-invalid`, `policy-empty`, `policy-no-permit`,
 * `policy-duplicate-id`
 */
export function parsePolicyDocument(bytes: Uint8Array): PolicyDocument {
  if (bytes.length > MAX_DOCUMENT_BYTES) {
    throw new PolicyError(
      'document-too-large',
      `policy.json is ${bytes.length} bytes; at most ${MAX_DOCUMENT_BYTES} are read`,
    );
  }
  try {
    const value: JsonValue = parseJson(bytes, 'policy.json', { maxBytes: MAX_DOCUMENT_BYTES });
    const document = readShape(documentShape, value, 'policy.json');
    requireUsable(document);
    return document;
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new PolicyError('document-invalid', cause.message, { cause });
  }
}

/**
 * Refuses policies of which none can permit, and ids or entities that stand twice.
 * @throws PolicyError
 */
export function requireUsable({ policies, entities }: PolicyDocument): void {
  if (policies.length === 0) throw new PolicyError('policy-empty', 'there is no policy');
  if (!policies.some(({ effect }) => effect === 'permit')) {
    throw new PolicyError('policy-no-permit', 'there is no permit, so every answer would be no', {
      hint: 'Write at least one permit policy.',
    });
  }
  const places = new Map<string, CompiledPolicy>();
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
  const seen = new Set<string>();
  for (const entity of entities) {
    const name = formatUid(entity.uid);
    if (seen.has(name)) throw new PolicyError('entities-invalid', `the entity ${name} stands twice`);
    seen.add(name);
  }
}

/** An entity's name as Cedar writes it. */
export function formatUid({ type, id }: EntityUid): string {
  return `${type}::${JSON.stringify(id)}`;
}

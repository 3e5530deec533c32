import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import { entityProblems } from './cedar-wasm.ts';
import { formatUid } from './document.ts';
import type { BakedEntity } from './entity-lines.ts';
import type { SourcedEntity } from './entities.ts';
import { Entity } from './entity.ts';
import { parseEntityUid } from '../base/entity-uid.ts';
import { loadEntities } from './entity-store.ts';
import { EvaluationError } from './evaluation-error.ts';
import { PolicyError } from './policy-error.ts';
import { type TextFile, sentence, throwProblems } from './problems.ts';
import { jsonOfRecord, readRecord, readValue } from './read-value.ts';
import type { CedarType, EntityTypeRules, Schema } from './schema.ts';
import { makeRecord } from './value.ts';

/**
 * Checks entities against the schema and writes their values so that they are read without one.
 * @throws PolicyError `entities-invalid` with every problem's file and line
 */
export function compileEntities(
  sourced: readonly SourcedEntity[],
  schema: Schema,
  schemaText: TextFile,
): BakedEntity[] {
  requireOnce(sourced);
  const problems: string[] = [];
  const entities = sourced.map(({ entity, file, line }) => {
    try {
      return bakeEntity(entity, schema);
    } catch (thrown) {
      if (!(thrown instanceof EvaluationError)) throw thrown;
      problems.push(`${file}:${line}: ${formatUid(entity.uid)}: ${thrown.message}`);
      return entity;
    }
  });
  throwProblems('entities-invalid', problems);
  requireHierarchy(entities, schema);
  throwProblems('entities-invalid', blame(entities, sourced, schemaText.text));
  return entities;
}

function requireOnce(sourced: readonly SourcedEntity[]): void {
  const seen = new Map<string, SourcedEntity>();
  const problems: string[] = [];
  for (const one of sourced) {
    const name = formatUid(one.entity.uid);
    const other = seen.get(name);
    if (other === undefined) seen.set(name, one);
    else problems.push(`${one.file}:${one.line}: ${name} stands at ${other.file}:${other.line} already`);
  }
  throwProblems('entities-invalid', problems);
}

/**
 * Reads an entity's values by the schema's types and writes them with Cedar's escapes.
 * @throws EvaluationError
 */
export function bakeEntity({ uid, attrs, parents, tags }: BakedEntity, schema: Schema): BakedEntity {
  const rules = schema.entityTypes.get(uid.type);
  if (rules === undefined) return bakeWithoutRules({ uid, attrs, parents, ...(tags && { tags }) }, schema);
  const baked: BakedEntity = { uid, attrs: bakeAttributes(attrs, rules), parents };
  return tags === undefined ? baked : { ...baked, tags: bakeTags(tags, rules) };
}

const options = {
  entity: (type: string, id: string): Entity => new Entity(type, id),
  unknown: (): never => {
    throw new EvaluationError('it has an attribute that the schema does not name');
  },
};

/** Actions are the schema's own entities; they may be written out, without attributes. */
function bakeWithoutRules(entity: BakedEntity, schema: Schema): BakedEntity {
  const isAction = schema.actions.some(({ uid }) => uid.type === entity.uid.type && uid.id === entity.uid.id);
  if (isAction) return entity;
  throw new EvaluationError(`the schema has no entity type ${entity.uid.type}`);
}

function bakeAttributes(attrs: JsonObject, { attributes }: EntityTypeRules): JsonObject {
  for (const name of Object.keys(attrs)) {
    if (!attributes.attributes.has(name)) {
      const known = [...attributes.attributes.keys()].join(', ');
      throw new EvaluationError(
        `the schema names no attribute ${JSON.stringify(name)}; it names ${known === '' ? 'none' : known}`,
      );
    }
  }
  return jsonOfRecord(readRecord(spellOut(attrs, attributes), attributes, options));
}

function bakeTags(tags: JsonObject, { tags: type }: EntityTypeRules): JsonObject {
  if (type === undefined) throw new EvaluationError('the schema gives its type no tags');
  const fields = Object.entries(tags).map(
    ([name, json]) => [name, readValue(spellOut(json, type), type, options)] as const,
  );
  return jsonOfRecord(makeRecord(new Map(fields)));
}

/** Where the schema expects an entity, people may write `User::"ana"` instead of `{type: User, id: ana}`. */
function spellOut(json: JsonValue, type: CedarType): JsonValue {
  switch (type.kind) {
    case 'entity': {
      const uid = typeof json === 'string' ? parseEntityUid(json) : undefined;
      return uid ?? json;
    }
    case 'set':
      return Array.isArray(json) ? json.map((member) => spellOut(member, type.element)) : json;
    case 'record': {
      if (!isObject(json)) return json;
      const out = emptyObject();
      for (const [name, member] of Object.entries(json)) {
        const expected = type.attributes.get(name)?.type;
        out[name] = expected === undefined ? member : spellOut(member, expected);
      }
      return out;
    }
    default:
      return json;
  }
}

function requireHierarchy(entities: readonly BakedEntity[], schema: Schema): void {
  try {
    loadEntities(entities, schema.actions);
  } catch (cause) {
    if (!(cause instanceof PolicyError)) throw cause;
    throw new PolicyError('entities-invalid', cause.message.replace(/^policy\.json: /, ''), {
      hint: 'Follow its parents in entities/: one of them leads back to it.',
      cause,
    });
  }
}

/** Cedar names no place for what it finds, so the list is halved until each problem has its entity. */
function blame(
  entities: readonly BakedEntity[],
  sourced: readonly SourcedEntity[],
  schema: string,
  found: string[] = [],
): string[] {
  const problems = entityProblems(entities, schema);
  const [first] = problems;
  const [one] = sourced;
  if (first === undefined || one === undefined || found.length > 20) return found;
  if (sourced.length === 1) {
    found.push(`${one.file}:${one.line}: ${formatUid(one.entity.uid)}: ${sentence(first)}`);
    return found;
  }
  const half = Math.ceil(sourced.length / 2);
  const before = found.length;
  blame(entities.slice(0, half), sourced.slice(0, half), schema, found);
  blame(entities.slice(half), sourced.slice(half), schema, found);
  if (found.length === before) found.push(sentence(first));
  return found;
}

import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import type { Entity } from './entity.ts';
import { EvaluationError } from './evaluation-error.ts';
import { CONSTRUCTOR_OF, EXTENSION_FUNCTIONS } from './extension-functions.ts';
import { formatDecimal } from './decimal.ts';
import { formatIpAddress } from './ip-address.ts';
import { isLong } from './long.ts';
import type { CedarType, RecordType } from './schema.ts';
import {
  type CedarRecord,
  type Extension,
  type Value,
  makeRecord,
  makeSet,
  membersOf,
  typeName,
} from './value.ts';

/** What reading needs to know and what it tells. */
export type ReadingOptions = {
  entity: (type: string, id: string) => Entity;
  /** Called for an attribute that its record's type does not have; such an attribute is left out. */
  unknown?: () => void;
};

/**
 * Reads a value from Cedar's JSON (Cedar reference, "Entities syntax"). `{__entity}` and `{__extn}` always mean
 * an entity and an extension value; where the schema tells the `type`, the plain forms do as well: `{type, id}`
 * for an entity, `"10.0.0.1"` for an ipaddr.
 * @throws EvaluationError where it is no such value
 */
export function readValue(json: JsonValue, type: CedarType | undefined, options: ReadingOptions): Value {
  if (type === undefined) return readUntyped(json, options);
  switch (type.kind) {
    case 'bool':
      return typeof json === 'boolean' ? json : misfit('a boolean', json);
    case 'string':
      return typeof json === 'string' ? json : misfit('a string', json);
    case 'long':
      return isLong(json) ? json : misfit('a whole number of 64 bits', json);
    case 'set':
      if (!Array.isArray(json)) return misfit('a list', json);
      return makeSet(json.map((member) => readValue(member, type.element, options)));
    case 'record':
      return readRecord(json, type, options);
    case 'entity': {
      const uid = uidOf(json);
      if (uid?.type !== type.name) return misfit(`an entity of type ${type.name}`, json);
      if (type.choices?.has(uid.id) === false)
        return misfit(`one of the entities of type ${type.name}`, json);
      return options.entity(uid.type, uid.id);
    }
    case 'extension': {
      if (!isObject(json)) return construct(type.constructor, [json], options);
      const { fn, args } = callOf(json['__extn'] ?? json);
      const value = construct(fn, args, options);
      return CONSTRUCTOR_OF.get(typeName(value)) === type.constructor
        ? value
        : misfit(`a value that "${type.constructor}" makes`, json);
    }
  }
}

/** Reads a record of a type. @throws EvaluationError */
export function readRecord(json: JsonValue, type: RecordType, options: ReadingOptions): CedarRecord {
  if (!isObject(json)) return misfit('an object', json);
  const fields = new Map<string, Value>();
  let known = 0;
  for (const [name, { type: expected, required }] of type.attributes) {
    const member = json[name];
    if (member === undefined || !Object.hasOwn(json, name)) {
      if (required) throw new EvaluationError(`the attribute ${JSON.stringify(name)} is missing`);
      continue;
    }
    known += 1;
    fields.set(
      name,
      readMember(name, () => readValue(member, expected, options)),
    );
  }
  if (Object.keys(json).length > known) options.unknown?.();
  return makeRecord(fields);
}

function readUntyped(json: JsonValue, options: ReadingOptions): Value {
  switch (typeof json) {
    case 'string':
    case 'boolean':
      return json;
    case 'number':
    case 'bigint':
      return isLong(json) ? json : misfit('a whole number of 64 bits', json);
    default: {
      if (json === null) return misfit('a value', json);
      if (Array.isArray(json)) return makeSet(json.map((member) => readUntyped(member, options)));
      if (Object.hasOwn(json, '__entity')) {
        const uid = uidOf(json) ?? misfit('an entity {type, id}', json);
        return options.entity(uid.type, uid.id);
      }
      if (Object.hasOwn(json, '__extn')) {
        const { fn, args } = callOf(json['__extn']);
        return construct(fn, args, options);
      }
      if (Object.hasOwn(json, '__expr')) return misfit('a value', json);
      const fields = Object.entries(json).map(
        ([name, member]) => [name, readMember(name, () => readUntyped(member, options))] as const,
      );
      return makeRecord(new Map(fields));
    }
  }
}

function uidOf(json: JsonValue): { type: string; id: string } | undefined {
  const plain = isObject(json) ? (json['__entity'] ?? json) : undefined;
  if (!isObject(plain)) return undefined;
  const { type, id } = plain;
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : undefined;
}

function callOf(json: JsonValue | undefined): { fn: string; args: JsonValue[] } {
  const call = isObject(json) ? json : emptyObject();
  const { fn, arg, args } = call;
  if (typeof fn !== 'string') throw new EvaluationError('"__extn" needs "fn" and "arg"');
  if (Array.isArray(args)) return { fn, args };
  return { fn, args: arg === undefined ? [] : [arg] };
}

function construct(fn: string, args: readonly JsonValue[], options: ReadingOptions): Value {
  const known = EXTENSION_FUNCTIONS.get(fn);
  if (known?.isConstructor !== true || args.length !== known.arguments) {
    throw new EvaluationError(`${JSON.stringify(fn)} with ${args.length} arguments makes no extension value`);
  }
  return known.call(args.map((arg) => readUntyped(arg, options)));
}

function readMember(name: string, read: () => Value): Value {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof EvaluationError)) throw thrown;
    throw new EvaluationError(`${name}: ${thrown.message}`);
  }
}

function misfit(expected: string, json: JsonValue): never {
  const shown =
    json === null || typeof json !== 'object' ? String(json) : Array.isArray(json) ? 'a list' : 'an object';
  throw new EvaluationError(`must be ${expected}, not ${shown.slice(0, 64)}`);
}

/** A value as Cedar's JSON, with the escapes that make it readable without a schema. */
export function jsonOfValue(value: Value): JsonValue {
  if (typeof value !== 'object') return value;
  switch (value.kind) {
    case 'entity':
      return { __entity: { type: value.type, id: value.id } };
    case 'set':
      return membersOf(value).map((member) => jsonOfValue(member));
    case 'record':
      return jsonOfRecord(value);
    default:
      return { __extn: callOfExtension(value) };
  }
}

/** A record's fields as Cedar's JSON. */
export function jsonOfRecord({ fields }: CedarRecord): JsonObject {
  const out = emptyObject();
  for (const [name, member] of fields) out[name] = jsonOfValue(member);
  return out;
}

/** The years 0 to 9999, which a datetime's text can name. */
const FIRST_WRITABLE = -62_167_219_200_000;
const LAST_WRITABLE = 253_402_300_799_999;

function callOfExtension(value: Extension): JsonObject {
  switch (value.kind) {
    case 'decimal':
      return { fn: 'decimal', arg: formatDecimal(value) };
    case 'ipaddr':
      return { fn: 'ip', arg: formatIpAddress(value) };
    case 'duration':
      return { fn: 'duration', arg: `${value.ms}ms` };
    case 'datetime': {
      if (value.ms >= FIRST_WRITABLE && value.ms <= LAST_WRITABLE) {
        return { fn: 'datetime', arg: new Date(Number(value.ms)).toISOString() };
      }
      // The form in which Cedar itself writes a moment that no text of a datetime can name.
      const epoch = { __extn: { fn: 'datetime', arg: '1970-01-01' } };
      return { fn: 'offset', args: [epoch, { __extn: { fn: 'duration', arg: `${value.ms}ms` } }] };
    }
  }
}

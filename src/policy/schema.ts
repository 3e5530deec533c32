import type { JsonObject, JsonValue } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import { type EntityUid, formatUid } from '../base/entity-uid.ts';
import { CONSTRUCTOR_OF } from './extension-functions.ts';
import { PolicyError } from './policy-error.ts';

/** A type of Cedar's schema, with no names left to look up. */
export type CedarType =
  | { kind: 'bool' | 'long' | 'string' }
  | { kind: 'set'; element: CedarType }
  | RecordType
  /** `choices`: the only ids that there are, for an enumerated type. */
  | { kind: 'entity'; name: string; choices: ReadonlySet<string> | undefined }
  | { kind: 'extension'; constructor: string };
export type RecordType = {
  kind: 'record';
  attributes: ReadonlyMap<string, { type: CedarType; required: boolean }>;
};

export type EntityTypeRules = {
  attributes: RecordType;
  tags: CedarType | undefined;
  /** The only ids that there are, for an enumerated type. */
  choices: ReadonlySet<string> | undefined;
};

export type ActionRules = {
  uid: EntityUid;
  parents: EntityUid[];
  principals: ReadonlySet<string>;
  resources: ReadonlySet<string>;
  context: RecordType;
};

export type Schema = { entityTypes: ReadonlyMap<string, EntityTypeRules>; actions: ActionRules[] };

/** Types inside each other at most. */
const MAX_TYPE_DEPTH = 64;
const NO_ATTRIBUTES: RecordType = { kind: 'record', attributes: new Map() };

/**
 * Reads a schema in Cedar's JSON format with resolved names, as the compiler writes it into `policy.json`.
 * @throws PolicyError `document-invalid`
 */
export function readSchema(json: JsonObject): Schema {
  const common = new Map<string, JsonValue>();
  const choices = new Map<string, ReadonlySet<string>>();
  for (const [namespace, body] of namespacesOf(json)) {
    for (const [name, type] of entriesOf(body['commonTypes'])) common.set(qualify(namespace, name), type);
    for (const [name, rules] of entriesOf(body['entityTypes'])) {
      const ids = objectOf(rules)['enum'];
      if (Array.isArray(ids)) choices.set(qualify(namespace, name), new Set(ids.map(textOf)));
    }
  }
  const types = typeReader(common, choices);
  const entityTypes = new Map<string, EntityTypeRules>();
  const actions: ActionRules[] = [];
  for (const [namespace, body] of namespacesOf(json)) {
    for (const [name, rules] of entriesOf(body['entityTypes'])) {
      const fullName = qualify(namespace, name);
      entityTypes.set(fullName, {
        ...readEntityType(objectOf(rules), types),
        choices: choices.get(fullName),
      });
    }
    for (const [id, rules] of entriesOf(body['actions'])) {
      actions.push(readAction({ type: qualify(namespace, 'Action'), id }, objectOf(rules), types));
    }
  }
  return { entityTypes, actions };
}

/** A type's full name; one without its namespace will do where one namespace alone has it. */
export function fullTypeName(name: string, { entityTypes }: Schema): string | undefined {
  if (entityTypes.has(name)) return name;
  const full = [...entityTypes.keys()].filter((type) => type.endsWith(`::${name}`));
  return full.length === 1 ? full[0] : undefined;
}

/** The actions that a name means: by their id alone, in any namespace, or by their whole name. */
export function actionsNamed(name: string, { actions }: Schema): ActionRules[] {
  return actions.filter(({ uid }) => uid.id === name || formatUid(uid) === name);
}

type TypeReader = (type: JsonValue | undefined) => CedarType;

function readEntityType(rules: JsonObject, types: TypeReader): Omit<EntityTypeRules, 'choices'> {
  return {
    attributes: rules['shape'] === undefined ? NO_ATTRIBUTES : recordOf(types(rules['shape'])),
    tags: rules['tags'] === undefined ? undefined : types(rules['tags']),
  };
}

function readAction(uid: EntityUid, rules: JsonObject, types: TypeReader): ActionRules {
  const applies = rules['appliesTo'] === undefined ? {} : objectOf(rules['appliesTo']);
  return {
    uid,
    parents: listOf(rules['memberOf']).map((parent) => {
      const { type, id } = objectOf(parent);
      return { type: type === undefined ? uid.type : textOf(type), id: textOf(id) };
    }),
    principals: new Set(listOf(applies['principalTypes']).map(textOf)),
    resources: new Set(listOf(applies['resourceTypes']).map(textOf)),
    context: applies['context'] === undefined ? NO_ATTRIBUTES : recordOf(types(applies['context'])),
  };
}

/** Reads types; each common type is read once, however often it is named. */
function typeReader(
  common: ReadonlyMap<string, JsonValue>,
  choices: ReadonlyMap<string, ReadonlySet<string>>,
): TypeReader {
  const known = new Map<string, CedarType>();
  const read = (json: JsonValue | undefined, depth: number): CedarType => {
    if (depth > MAX_TYPE_DEPTH) throw invalid(`types nest more than ${MAX_TYPE_DEPTH} deep`);
    const type = objectOf(json);
    const name = textOf(type['type']);
    switch (name) {
      case 'Set':
        return { kind: 'set', element: read(type['element'], depth + 1) };
      case 'Record': {
        const attributes = entriesOf(type['attributes']).map(([attribute, member]) => {
          const required = objectOf(member)['required'] !== false;
          return [attribute, { type: read(member, depth + 1), required }] as const;
        });
        return { kind: 'record', attributes: new Map(attributes) };
      }
      case 'Entity': {
        const of = textOf(type['name']);
        return { kind: 'entity', name: of, choices: choices.get(of) };
      }
      case 'Extension':
        return primitive(textOf(type['name']));
      default: {
        const definition = common.get(name);
        if (definition === undefined) return primitive(name);
        const found = known.get(name) ?? read(definition, depth + 1);
        known.set(name, found);
        return found;
      }
    }
  };
  return (json) => read(json, 0);
}

function primitive(qualified: string): CedarType {
  const name = qualified.replace(/^__cedar::/, '');
  switch (name) {
    case 'Long':
      return { kind: 'long' };
    case 'String':
      return { kind: 'string' };
    case 'Bool':
    case 'Boolean':
      return { kind: 'bool' };
    default: {
      const constructor = CONSTRUCTOR_OF.get(name);
      if (constructor === undefined) throw invalid(`there is no type "${qualified}"`);
      return { kind: 'extension', constructor };
    }
  }
}

function recordOf(type: CedarType): RecordType {
  if (type.kind !== 'record') throw invalid('attributes and context must be records');
  return type;
}

function qualify(namespace: string, name: string): string {
  return namespace === '' ? name : `${namespace}::${name}`;
}

function namespacesOf(json: JsonObject): [string, JsonObject][] {
  return Object.entries(json).map(([namespace, body]) => [namespace, objectOf(body)]);
}

function entriesOf(value: JsonValue | undefined): [string, JsonValue][] {
  return value === undefined ? [] : Object.entries(objectOf(value));
}

function objectOf(value: JsonValue | undefined): JsonObject {
  if (!isObject(value)) throw invalid('an object is missing');
  return value;
}

function listOf(value: JsonValue | undefined): JsonValue[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid('a list is missing');
  return value;
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw invalid('a text is missing');
  return value;
}

function invalid(problem: string): PolicyError {
  return new PolicyError('document-invalid', `policy.json: schema: ${problem}`);
}

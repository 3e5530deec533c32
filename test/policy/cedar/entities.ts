import type { JsonObject, JsonValue } from '../../../src/base/json.ts';
import type { CedarQuestion } from '../../../src/policy/cedar-wasm.ts';
import type { EntityUid } from '../../../src/policy/document.ts';
import type { BakedEntity } from '../../../src/policy/entity-lines.ts';
import { type Random, pick, someOf, times } from './random.ts';
import { type Attribute, type ExtensionName, type Model, type Type, actionType } from './schema.ts';
import { EXTENSION_TEXTS, LONGS, SMALL_LONGS, STRINGS, TAG_NAMES } from './values.ts';

/** The function that makes a value of each extension type. */
export const CONSTRUCTORS: Readonly<Record<ExtensionName, string>> = {
  decimal: 'decimal',
  ipaddr: 'ip',
  datetime: 'datetime',
  duration: 'duration',
};

/** Uids of a type: those of its entities, and one that there is no entity of. */
export function uidsOf({ entityTypes }: Model, name: string): EntityUid[] {
  const { ids = [], isEnum = false } = entityTypes.find((type) => type.name === name) ?? {};
  return [...ids, ...(isEnum ? [] : ['ghost'])].map((id) => ({ type: name, id }));
}

/**
 * Entities of the model: a hierarchy without cycles, with parents that don't exist among the others. One in ten lacks
 * an attribute that it should have, or has one of another type: Cedar evaluates that too.
 */
export function makeEntities(random: Random, model: Model): BakedEntity[] {
  const there = model.entityTypes.flatMap((type) =>
    type.ids.map((id) => ({ type, uid: { type: type.name, id } })),
  );
  return there.map(({ type, uid }, index) => {
    const above = there.slice(index + 1).filter(({ type: { name } }) => type.groups.includes(name));
    const lost = type.groups.flatMap((name) => (random(4) === 0 ? [{ type: name, id: 'ghost' }] : []));
    const entity = {
      uid,
      parents: [...someOf(random, above).map(({ uid: parent }) => parent), ...lost],
      attrs: recordJson(random, model, type.attributes),
    };
    const { tags } = type;
    if (tags === undefined) return entity;
    const names = someOf(random, TAG_NAMES, 2);
    return { ...entity, tags: objectOf(names.map((name) => [name, valueJson(random, model, tags)])) };
  });
}

/** A question; one in five does not fit the schema. */
export function makeQuestion(random: Random, model: Model): CedarQuestion {
  const action = pick(random, [...model.actions, ...model.actions.slice(2), { id: 'unknown', context: [] }]);
  const { principals = [], resources = [] } = 'principals' in action ? action : {};
  const entity = (types: readonly string[]): EntityUid => {
    const fits = types.length > 0 && random(5) > 0;
    const name = fits ? pick(random, types) : pick(random, model.entityTypes).name;
    return random(50) === 0 ? { type: 'No::Such', id: 'type' } : pick(random, uidsOf(model, name));
  };
  return {
    principal: entity(principals),
    action: { type: actionType(model), id: action.id },
    resource: entity(resources),
    context: recordJson(random, model, action.context),
  };
}

/** Keys become own properties, `__proto__` too. */
function objectOf(members: readonly (readonly [string, JsonValue])[]): JsonObject {
  return Object.fromEntries(members);
}

function recordJson(random: Random, model: Model, attributes: readonly Attribute[]): JsonObject {
  const members = attributes.flatMap(({ name, type, optional }) => {
    if (optional ? random(2) === 0 : random(40) === 0) return [];
    // A text would be read by the schema on one side alone.
    const value = random(60) === 0 ? pick(random, [true, 3]) : valueJson(random, model, type);
    return [[name, value] as const];
  });
  return objectOf(members);
}

function valueJson(random: Random, model: Model, type: Type): JsonValue {
  switch (type.kind) {
    case 'Bool':
      return random(2) === 0;
    case 'Long': {
      const long = pick(random, random(2) === 0 ? SMALL_LONGS : LONGS);
      return Number.isSafeInteger(Number(long)) ? Number(long) : long;
    }
    case 'String':
      return pick(random, STRINGS);
    case 'Set':
      return times(random(4), () => valueJson(random, model, type.of));
    case 'Record':
      return recordJson(random, model, type.attributes);
    case 'Entity':
      return { __entity: pick(random, uidsOf(model, type.name)) };
    default: {
      const value = {
        __extn: { fn: CONSTRUCTORS[type.kind], arg: pick(random, EXTENSION_TEXTS[type.kind].good) },
      };
      if (type.kind !== 'datetime' || random(4) > 0) return value;
      // How Cedar writes a moment that no text of a datetime can name.
      const by = {
        __extn: { fn: 'duration', arg: pick(random, ['1d', '-300000000d', '9000000000000000000ms']) },
      };
      const from = { __extn: { fn: 'datetime', arg: '1970-01-01' } };
      return { __extn: { fn: 'offset', args: [from, by] } };
    }
  }
}

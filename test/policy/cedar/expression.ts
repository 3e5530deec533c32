import { CONSTRUCTORS, uidsOf } from './entities.ts';
import { type Random, pick, times } from './random.ts';
import {
  type Attribute,
  type ExtensionName,
  type Model,
  PLAIN,
  type Type,
  actionType,
  quote,
} from './schema.ts';
import { EXTENSION_TEXTS, LONGS, SMALL_LONGS, STRINGS, TAG_NAMES } from './values.ts';

/** A piece of an expression: its parts, and how it is written around them. */
export type Node = { parts: readonly Node[]; write: (parts: readonly string[]) => string };

/** The expression in Cedar's syntax; everything in brackets, so that a part may be any other. */
export function textOf({ parts, write }: Node): string {
  return `(${write(parts.map(textOf))})`;
}

export function leaf(text: string): Node {
  return { parts: [], write: () => text };
}

function node(write: Node['write'], ...parts: Node[]): Node {
  return { parts, write };
}

/** What a policy is taken to be asked about: types that its expressions go by. */
export type Scene = { principal: string; resource: string; context: readonly Attribute[] };

/** Makes expressions that fit the model, all but one in fifty of them: type errors must be the same too. */
export function createExpressions(random: Random, model: Model, scene: Scene): Expressions {
  const entityNames = model.entityTypes.map(({ name }) => name);
  const entityType = (): Type => ({ kind: 'Entity', name: pick(random, entityNames) });
  const anyType = (): Type => {
    const choice = random(12);
    if (choice < 8) return { kind: pick(random, PLAIN) };
    if (choice < 10) return entityType();
    if (choice < 11)
      return { kind: 'Set', of: random(2) === 0 ? entityType() : { kind: pick(random, PLAIN) } };
    return { kind: 'Record', attributes: [{ name: 'a', type: { kind: 'Long' }, optional: false }] };
  };
  const holders = holdersOf(model, scene);
  const groups: Type = { kind: 'Set', of: { kind: 'Entity', name: pick(random, entityNames) } };
  const one = (kind: (typeof PLAIN)[number]): Type => ({ kind });

  const make = (type: Type, depth: number): Node => {
    const wanted = random(50) === 0 ? anyType() : type;
    if (depth <= 0) return literal(wanted);
    const sub = (other: Type): Node => make(other, depth - 1);
    if (random(14) === 0) {
      const parts = [sub(one('Bool')), sub(wanted), sub(wanted)];
      return node(([test, then, or]) => `if ${test} then ${then} else ${or}`, ...parts);
    }
    const reading = random(3) === 0 ? read(wanted, sub) : undefined;
    return reading ?? pick(random, pick(random, formsOf(wanted)))(sub);
  };

  /** An attribute or tag of the wanted type; absent where the model has none. */
  const read = (type: Type, sub: (type: Type) => Node): Node | undefined => {
    const found = holders.filter(({ attribute }) => sameType(attribute.type, type));
    const tagged = model.entityTypes.filter(({ tags }) => tags !== undefined && sameType(tags, type));
    if (tagged.length > 0 && (found.length === 0 || random(3) === 0)) {
      const name = quote(pick(random, TAG_NAMES));
      const key = random(3) > 0 ? leaf(name) : sub(one('String'));
      const of = sub({ kind: 'Entity', name: pick(random, tagged).name });
      return node(([entity, tag]) => `${entity}.getTag(${tag})`, of, key);
    }
    if (found.length === 0) return undefined;
    const { base, attribute } = pick(random, found);
    const name = access(random, attribute.name);
    return node(([object]) => `${object}${name}`, base === 'context' ? leaf('context') : sub(base));
  };

  /** The forms that a type's expressions have, those of one sort together: a sort is picked first. */
  const formsOf = (type: Type): Form[][] => {
    switch (type.kind) {
      case 'Bool':
        return comparisons();
      case 'Long':
        return [
          ['-', '--', '---'].map((operator) => prefix(operator, type)),
          ['toMilliseconds', 'toSeconds', 'toMinutes', 'toHours', 'toDays'].map((name) =>
            method(name, one('duration')),
          ),
          ...['+', '-', '*'].map((operator) => [infix(operator, type, type)]),
        ];
      case 'Set':
        return [[(sub) => node((parts) => `[${parts.join(', ')}]`, ...times(random(4), () => sub(type.of)))]];
      case 'Record':
        return [[(sub) => recordOf(type.attributes, sub)]];
      case 'decimal':
      case 'ipaddr':
        return [[() => literal(type)], [() => literal(type)], [call(type.kind)]];
      case 'datetime':
        return [[method('offset', type, one('duration'))], [method('toDate', type)], [call(type.kind)]];
      case 'duration':
        return [
          [method('durationSince', one('datetime'), one('datetime'))],
          [method('toTime', one('datetime'))],
          [call(type.kind)],
        ];
      default:
        return [[() => literal(type)]];
    }
  };

  const infix =
    (operator: string, a: Type, b: Type): Form =>
    (sub) =>
      node(([left, right]) => `${left} ${operator} ${right}`, sub(a), sub(b));
  const prefix =
    (operator: string, type: Type): Form =>
    (sub) =>
      node(([a]) => `${operator}${a}`, sub(type));
  const method =
    (name: string, ...types: Type[]): Form =>
    (sub) =>
      node(([object, ...rest]) => `${object}.${name}(${rest.join(', ')})`, ...types.map(sub));
  /** A call of a constructor; one in twenty has an argument too many, which Cedar parses and then fails at. */
  const call =
    (kind: ExtensionName): Form =>
    (sub) => {
      const isWrong = random(20) === 0;
      return node(([a]) => `${CONSTRUCTORS[kind]}(${a}${isWrong ? `, ${a}` : ''})`, sub(one('String')));
    };
  const recordOf = (attributes: readonly Attribute[], sub: (type: Type) => Node): Node => {
    const named = attributes.filter(({ optional }) => !optional || random(2) === 0);
    const write = (parts: readonly string[]): string =>
      `{ ${named.map(({ name }, index) => `${quote(name)}: ${parts[index]}`).join(', ')} }`;
    return node(write, ...named.map(({ type }) => sub(type)));
  };

  const comparisons = (): Form[][] => {
    const other = anyType();
    const set: Type = { kind: 'Set', of: other };
    const bool = one('Bool');
    const ordered = one(pick(random, ['Long', 'datetime', 'duration'] as const));
    const [price, net] = [one('decimal'), one('ipaddr')];
    const [entity, group] = [entityType(), random(2) === 0 ? entityType() : groups];
    const isA = pick(random, [...entityNames, scene.principal, actionType(model), 'No::Such']);
    const pattern = patternOf(random);
    return [
      ['&&', '||'].map((operator) => infix(operator, bool, bool)),
      [' && ', ' || '].map(
        (operator): Form =>
          (sub) =>
            node((parts) => parts.join(operator), ...times(3, () => sub(bool))),
      ),
      ['!', '!!'].map((operator) => prefix(operator, bool)),
      ['==', '!='].map((operator) => infix(operator, other, random(4) === 0 ? anyType() : other)),
      ['<', '<=', '>', '>='].map((operator) => infix(operator, ordered, ordered)),
      [infix('in', entity, group)],
      [(sub) => node(([a]) => `${a} is ${isA}`, sub(entity))],
      [(sub) => node(([a, b]) => `${a} is ${isA} in ${b}`, sub(entity), sub(group))],
      [(sub) => node(([a]) => `${a} like ${pattern}`, sub(one('String')))],
      [has],
      [method('contains', set, other)],
      ['containsAll', 'containsAny'].map((name) => method(name, set, set)),
      [method('isEmpty', set)],
      [method('hasTag', entity, one('String'))],
      ['lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual'].map((name) =>
        method(name, price, price),
      ),
      ['isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'].map((name) => method(name, net)),
      [method('isInRange', net, net)],
    ];
  };

  /** `has` of one name, or of a path that follows the model as far as it can. */
  const has = (sub: (type: Type) => Node): Node => {
    const { base, attribute } = pick(random, holders);
    const path = [attribute.name];
    let { type } = attribute;
    while (path.length < 4 && random(3) > 0) {
      const inner = attributesOf(model, type);
      const next = inner.length === 0 ? undefined : pick(random, inner);
      path.push(next?.name ?? 'a');
      type = next?.type ?? one('Long');
    }
    const words = path.filter(isWord);
    const written = random(3) === 0 || words.length < path.length ? quote(path[0] ?? '') : words.join('.');
    const object = base === 'context' ? leaf('context') : sub(random(8) === 0 ? entityType() : base);
    return node(([a]) => `${a} has ${written}`, object);
  };

  const literal = (type: Type): Node => {
    switch (type.kind) {
      case 'Bool':
        return leaf(random(4) > 0 ? 'true' : 'false');
      case 'Long':
        return leaf(longText(pick(random, random(3) > 0 ? SMALL_LONGS : LONGS)));
      case 'String':
        return leaf(quote(pick(random, STRINGS)));
      case 'Set':
        return node((parts) => `[${parts.join(', ')}]`, ...times(random(3), () => literal(type.of)));
      case 'Record':
        return leaf(random(2) === 0 ? 'context' : '{}');
      case 'Entity': {
        const variables = (['principal', 'resource'] as const).filter((name) => scene[name] === type.name);
        if (random(30) === 0) return leaf('action');
        if (random(30) === 0) return leaf(`${actionType(model)}::${quote(pick(random, model.actions).id)}`);
        if (variables.length > 0 && random(3) > 0) return leaf(pick(random, variables));
        const { type: name, id } = pick(random, uidsOf(model, type.name));
        return leaf(`${name}::${quote(id)}`);
      }
      default: {
        const { good, edge } = EXTENSION_TEXTS[type.kind];
        const text = pick<string>(random, random(4) > 0 ? good : edge);
        return leaf(`${CONSTRUCTORS[type.kind]}(${quote(text)})`);
      }
    }
  };
  /** By its number, a comparison with itself of an expression of any form: so each form comes up for certain. */
  const probe = (number: number): Node => {
    const longSet: Type = { kind: 'Set', of: one('Long') };
    const tagged: Form = (sub) => {
      const { tags } = model.entityTypes.find((type) => type.tags !== undefined) ?? {};
      return read(tags ?? anyType(), sub) ?? sub(one('Long'));
    };
    const forms = [...PLAIN.map(one), longSet, anyType()].flatMap(formsOf).flat().concat(tagged);
    const form = forms[number % forms.length] ?? tagged;
    const body = form((type) => make(type, random(2)));
    return node(([a]) => `${a} == ${a}`, body);
  };
  return { make, probe };
}

/** Writes an expression of one form, its parts made by `sub`. */
type Form = (sub: (type: Type) => Node) => Node;

export type Expressions = {
  /** An expression of a type, of at most so many operators inside each other. */
  make: (type: Type, depth: number) => Node;
  probe: (number: number) => Node;
};

type Holder = { base: Type | 'context'; attribute: Attribute };

/** Everything that has attributes: entities, the context, and the records inside them. */
function holdersOf({ entityTypes }: Model, { context }: Scene): Holder[] {
  const found: Holder[] = [];
  const add = (base: Type | 'context', attributes: readonly Attribute[]): void => {
    for (const attribute of attributes) {
      found.push({ base, attribute });
      if (attribute.type.kind === 'Record') add(attribute.type, attribute.type.attributes);
    }
  };
  add('context', context);
  for (const { name, attributes } of entityTypes) add({ kind: 'Entity', name }, attributes);
  return found;
}

function attributesOf({ entityTypes }: Model, type: Type): readonly Attribute[] {
  if (type.kind === 'Record') return type.attributes;
  if (type.kind !== 'Entity') return [];
  return entityTypes.find(({ name }) => name === type.name)?.attributes ?? [];
}

function sameType(a: Type, b: Type): boolean {
  if (a.kind === 'Set' && b.kind === 'Set') return sameType(a.of, b.of);
  if (a.kind === 'Entity' && b.kind === 'Entity') return a.name === b.name;
  return a.kind === b.kind && (a.kind !== 'Record' || JSON.stringify(a) === JSON.stringify(b));
}

/** Cedar's reserved words, which stand as attribute names in quotes alone. */
const RESERVED = ['true', 'false', 'if', 'then', 'else', 'in', 'like', 'has', 'is', '__cedar'];

function isWord(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !RESERVED.includes(name);
}

function access(random: Random, name: string): string {
  return isWord(name) && random(3) > 0 ? `.${name}` : `[${quote(name)}]`;
}

function longText(long: bigint): string {
  return long < 0n ? `(${long})` : String(long);
}

/** A pattern of wildcards, escaped stars and text, some of it made from the texts that it is compared with. */
function patternOf(random: Random): string {
  const pieces = times(random(5), () => {
    if (random(3) === 0) return '*';
    const text = pick(random, STRINGS);
    return quote(random(2) === 0 ? text : text.slice(0, 1))
      .slice(1, -1)
      .replaceAll('*', '\\*');
  });
  // Half of a pair of surrogates is no text.
  const joined = pieces.join('');
  return joined.isWellFormed() ? `"${joined}"` : '"*"';
}

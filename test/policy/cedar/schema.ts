import type { BakedEntity } from '../../../src/policy/entity-lines.ts';
import { type Random, pick, someOf, times } from './random.ts';

export type ExtensionName = 'decimal' | 'ipaddr' | 'datetime' | 'duration';
export type Type =
  | { kind: 'Bool' | 'Long' | 'String' | ExtensionName }
  | { kind: 'Set'; of: Type }
  | { kind: 'Record'; attributes: Attribute[] }
  | { kind: 'Entity'; name: string };
export type Attribute = { name: string; type: Type; optional: boolean };
export type EntityType = {
  name: string;
  ids: string[];
  groups: string[];
  attributes: Attribute[];
  tags?: Type;
  /** Whether its ids are written in the schema; such a type has nothing else. */
  isEnum: boolean;
};
export type Action = {
  id: string;
  groups: string[];
  principals: string[];
  resources: string[];
  context: Attribute[];
};
export type Model = { namespace: string; entityTypes: EntityType[]; actions: Action[] };

export const PLAIN: readonly ('Bool' | 'Long' | 'String' | ExtensionName)[] = [
  'Bool',
  'Long',
  'String',
  'decimal',
  'ipaddr',
  'datetime',
  'duration',
];
/** Names that JavaScript or Cedar means something else by stand among the plain ones. */
const NAMES = [
  'n',
  's',
  'b',
  'owner',
  'boss',
  'zip',
  'city',
  'a',
  'labels',
  'when',
  'principal',
  'tags',
  '__proto__',
  'constructor',
  'toString',
  'odd name',
  '',
  'é',
  'if',
  'in',
  '__cedar',
  'length',
  'kind',
  'fields',
];
const IDS = ['u0', 'u1', 'u2', '', '__proto__', 'a"b', 'é😀', 'a\\b', 'u0\n', 'toString'];

/** A schema with every kind of type, whose names, attributes and hierarchy are made up. */
export function makeModel(random: Random): Model {
  const namespace = pick(random, ['', '', 'App', 'A::B']);
  const full = (name: string): string => (namespace === '' ? name : `${namespace}::${name}`);
  const names = ['Group', 'User', 'File', 'Box'].slice(0, 3 + random(2)).map(full);
  const entityNames = [...names, full('Color')];
  const typeOf = (depth: number): Type => {
    const choice = random(depth > 0 ? 12 : 9);
    if (choice < 7) return { kind: PLAIN[choice] as (typeof PLAIN)[number] };
    if (choice < 9) return { kind: 'Entity', name: pick(random, entityNames) };
    if (choice < 11) return { kind: 'Set', of: typeOf(depth - 1) };
    return { kind: 'Record', attributes: attributesOf(random(4), depth - 1) };
  };
  const attributesOf = (count: number, depth: number): Attribute[] => {
    const chosen = new Set(times(count, () => pick(random, NAMES)));
    return [...chosen].map((name) => ({ name, type: typeOf(depth), optional: random(3) === 0 }));
  };
  const entityTypes = names.map((name): EntityType => {
    const ids = times(2 + random(3), (index) => (random(3) > 0 ? `u${index}` : pick(random, IDS)));
    const tags = random(2) === 0 ? { tags: typeOf(1) } : {};
    const groups = someOf(random, names, 2);
    return {
      name,
      ids: [...new Set(ids)],
      groups,
      attributes: attributesOf(3 + random(5), 2),
      ...tags,
      isEnum: false,
    };
  });
  const color = { name: full('Color'), ids: ['red', 'green'], groups: [], attributes: [], isEnum: true };
  const context = attributesOf(4 + random(5), 2);
  const some = (): string[] => [names[0] as string, ...someOf(random, entityNames, 2)];
  const actions: Action[] = [
    { id: 'all', groups: [], principals: [], resources: [], context: [] },
    { id: 'odd "group"', groups: ['all'], principals: [], resources: [], context: [] },
    {
      id: 'read',
      groups: [pick(random, ['all', 'odd "group"'])],
      principals: some(),
      resources: some(),
      context,
    },
    { id: 'write', groups: ['all'], principals: some(), resources: some(), context },
    { id: 'look', groups: ['read'], principals: some(), resources: some(), context: attributesOf(3, 1) },
  ];
  return { namespace, entityTypes: [...entityTypes, color], actions };
}

/** The schema in Cedar's own syntax. */
export function schemaText({ namespace, entityTypes, actions }: Model): string {
  const plain = (name: string): string => name.slice(name.lastIndexOf(':') + 1);
  const listOf = (names: readonly string[]): string => `[${names.map(plain).join(', ')}]`;
  const lines = [
    ...entityTypes.map(({ name, ids, groups, attributes, tags, isEnum }) => {
      if (isEnum) return `entity ${plain(name)} enum [${ids.map((id) => quote(id)).join(', ')}];`;
      const above = groups.length === 0 ? '' : ` in ${listOf(groups)}`;
      const tagged = tags === undefined ? '' : ` tags ${typeText(tags)}`;
      return `entity ${plain(name)}${above} = ${recordText(attributes)}${tagged};`;
    }),
    ...actions.map(({ id, groups, principals, resources, context }) => {
      const above = groups.length === 0 ? '' : ` in [${groups.map((group) => quote(group)).join(', ')}]`;
      const applies =
        principals.length === 0
          ? ''
          : ` appliesTo { principal: ${listOf(principals)}, resource: ${listOf(resources)}, context: ${recordText(context)} }`;
      return `action ${quote(id)}${above}${applies};`;
    }),
  ].join('\n');
  return namespace === '' ? lines : `namespace ${namespace} {\n${lines}\n}`;
}

function recordText(attributes: readonly Attribute[]): string {
  const members = attributes.map(
    ({ name, type, optional }) => `${quote(name)}${optional ? '?' : ''}: ${typeText(type)}`,
  );
  return `{ ${members.join(', ')} }`;
}

function typeText(type: Type): string {
  switch (type.kind) {
    case 'Set':
      return `Set<${typeText(type.of)}>`;
    case 'Record':
      return recordText(type.attributes);
    case 'Entity':
      return type.name;
    default:
      return type.kind;
  }
}

/** A text as Cedar's literal. */
export function quote(text: string): string {
  const escaped = text.replaceAll(/["\\]/g, '\\$&').replaceAll('\n', '\\n');
  return `"${escaped.replaceAll(/[\0-\x1f\x7f]/g, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`)}"`;
}

/** The name of the type that the model's actions have. */
export function actionType({ namespace }: Model): string {
  return namespace === '' ? 'Action' : `${namespace}::Action`;
}

/** The model's actions as entities: Cedar's authorizer is given no schema, so that it evaluates what does not fit one. */
export function actionEntities(model: Model): BakedEntity[] {
  const type = actionType(model);
  return model.actions.map(({ id, groups }) => ({
    uid: { type, id },
    attrs: {},
    parents: groups.map((group) => ({ type, id: group })),
  }));
}

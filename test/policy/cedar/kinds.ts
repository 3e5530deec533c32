import type { JsonObject, JsonValue } from '../../../src/base/json.ts';
import { isObject } from '../../../src/base/shape.ts';
import type { CompiledPolicy } from '../../../src/policy/document.ts';
import { EXTENSION_FUNCTIONS } from '../../../src/policy/extension-functions.ts';
import { BINARY_OPERATORS } from '../../../src/policy/operators.ts';

/** Every kind of expression and scope there is, by the names under which `kindsOf` counts. */
export const KINDS: readonly string[] = [
  ...['principal', 'action', 'resource', 'context'].map((name) => `Var ${name}`),
  ...['boolean', 'string', 'number', 'bigint', 'entity'].map((name) => `Value ${name}`),
  ...BINARY_OPERATORS.keys(),
  ...EXTENSION_FUNCTIONS.keys(),
  'Set',
  'Record',
  '!',
  'neg',
  'isEmpty',
  '&&',
  '||',
  'if-then-else',
  '.',
  'getTag',
  'hasTag',
  'has',
  'has path',
  'is',
  'is in',
  'like',
  'like Wildcard',
  'like Literal',
  'when',
  'unless',
  ...['All', '==', 'in', 'is', 'is in'].flatMap((op) => [`principal ${op}`, `resource ${op}`]),
  'action All',
  'action ==',
  'action in',
  'action in list',
  'link',
];

/**
 * The kinds that were evaluated for certain in a policy that determined a decision: what comes first in `&&`, `||` and
 * `if`, and every part of the others.
 */
export function kindsOf({ id, principal, action, resource, conditions }: CompiledPolicy): string[] {
  const scope = (role: string, { op, in: group }: JsonObject): string =>
    `${role} ${textOf(op)}${group === undefined ? '' : ' in'}`;
  return [
    scope('principal', principal),
    scope('resource', resource),
    `action ${textOf(action['op'])}${action['entities'] === undefined ? '' : ' list'}`,
    ...(id.startsWith('link') ? ['link'] : []),
    ...conditions.flatMap(({ kind, body }) => [kind, ...evaluated(body)]),
  ];
}

function evaluated(expression: JsonValue): string[] {
  const [name, body] = Object.entries(expression as JsonObject)[0] ?? ['', null];
  if (name === 'Var') return [`Var ${textOf(body)}`];
  if (name === 'Value') return [`Value ${isObject(body) ? 'entity' : typeof body}`];
  if (Array.isArray(body)) {
    const isChain = name === '&&' || name === '||';
    return [name, ...body.slice(0, isChain ? 1 : body.length).flatMap(evaluated)];
  }
  const parts = body as JsonObject;
  switch (name) {
    case 'Record':
      return [name, ...Object.values(parts).flatMap(evaluated)];
    case 'if-then-else':
      return [name, ...evaluated(parts['if'] ?? null)];
    case 'like': {
      const pieces = parts['pattern'] as JsonValue[];
      const found = pieces.map((piece) => `like ${isObject(piece) ? 'Literal' : textOf(piece)}`);
      return [name, ...found, ...evaluated(parts['left'] ?? null)];
    }
    case 'has':
      return [Array.isArray(parts['attr']) ? 'has path' : name, ...evaluated(parts['left'] ?? null)];
    case 'is':
      // Whether the group is evaluated depends on the type.
      return [parts['in'] === undefined ? name : 'is in', ...evaluated(parts['left'] ?? null)];
    default:
      return [name, ...Object.values(parts).filter(isObject).flatMap(evaluated)];
  }
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '?';
}

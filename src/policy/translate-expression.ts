import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import { unmarkInteger, valueExpression } from './exact-integers.ts';
import { MAX_EXPRESSION_DEPTH } from './expression.ts';

/**
 * Turns an expression of Cedar's JSON into the form of `policy.json`: chains of `&&` and of `||` become lists,
 * marked integers become integers.
 * @throws RangeError where it nests too deep
 */
export function translateExpression(
  expression: JsonValue,
  marker: string | undefined,
  depth = 0,
): JsonObject {
  if (depth > MAX_EXPRESSION_DEPTH) {
    throw new RangeError(`expressions nest more than ${MAX_EXPRESSION_DEPTH} deep`);
  }
  const [name, body] = Object.entries(expression as JsonObject)[0] ?? [];
  if (name === undefined || body === undefined) throw new TypeError('an expression of Cedar has one key');
  const integer = unmarkInteger(name, body, marker);
  if (integer !== undefined) return valueExpression(integer);
  const out = emptyObject();
  if (name === '&&' || name === '||') {
    out[name] = chainOf(name, expression).map((part) => translateExpression(part, marker, depth + 1));
  } else if (name === 'Value' || name === 'Var') {
    out[name] = body;
  } else if (Array.isArray(body)) {
    out[name] = body.map((part) => translateExpression(part, marker, depth + 1));
  } else {
    out[name] = translateParts(name, body as JsonObject, marker, depth);
  }
  return out;
}

function translateParts(
  name: string,
  body: JsonObject,
  marker: string | undefined,
  depth: number,
): JsonObject {
  const out = emptyObject();
  for (const [key, part] of Object.entries(body)) {
    // Attribute names, type names and patterns are no expressions; every member of a record is one.
    const isExpression = name === 'Record' || (isObject(part) && key !== 'pattern');
    out[key] = isExpression ? translateExpression(part, marker, depth + 1) : part;
  }
  return out;
}

/** `((a && b) && c)` is `[a, b, c]`. The left side is followed without recursion: chains may be thousands long. */
function chainOf(name: string, expression: JsonValue): JsonValue[] {
  const parts: JsonValue[] = [];
  let rest = expression;
  for (;;) {
    const body = isObject(rest) ? rest[name] : undefined;
    if (!isObject(body)) break;
    const { left, right } = body as { left: JsonValue; right: JsonValue };
    parts.push(...chainOf(name, right).reverse());
    rest = left;
  }
  parts.push(rest);
  return parts.reverse();
}

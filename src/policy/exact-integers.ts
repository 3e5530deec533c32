import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import { isObject } from '../base/shape.ts';

const TOKEN = /\/\/[^\n\r]*|"(?:[^"\\]|\\[\s\S])*"|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[\s\S]/gy;

/**
 * Cedar's WebAssembly interface hands integers back as JavaScript's numbers, which rounds those beyond 2^53 - 1.
 * This writes each such literal of a policy as `decimal("<marker><digits>")`, which parses wherever an integer
 * does and comes back as text; `unmarkIntegers` turns it into the integer. The text must have parsed as it was.
 * @returns undefined where the text holds no such literal
 */
export function markIntegers(text: string): { text: string; marker: string } | undefined {
  if (!/[0-9]{16}/.test(text)) return undefined;
  let marker = 'exact:';
  while (text.includes(marker)) marker += ':';
  let isMarked = false;
  const marked = text.replace(TOKEN, (token) => {
    if (!/^[0-9]/.test(token) || Number.isSafeInteger(Number(token))) return token;
    isMarked = true;
    return `decimal("${marker}${token}")`;
  });
  return isMarked ? { text: marked, marker } : undefined;
}

/** The integer that an expression of Cedar's JSON stands for, if `markIntegers` put it there. */
export function unmarkInteger(name: string, body: JsonValue, marker: string | undefined): bigint | undefined {
  if (marker === undefined) return undefined;
  if (name === 'neg') {
    const arg = isObject(body) ? body['arg'] : undefined;
    const [inner, innerBody] = isObject(arg) ? (Object.entries(arg)[0] ?? []) : [];
    // Cedar takes a minus before a literal as part of it, which is how the smallest Long is written.
    const magnitude = inner === 'decimal' ? unmarkInteger(inner, innerBody as JsonValue, marker) : undefined;
    return magnitude === undefined ? undefined : -magnitude;
  }
  if (name !== 'decimal' || !Array.isArray(body)) return undefined;
  const [first] = body;
  const text = isObject(first) ? first['Value'] : undefined;
  return typeof text === 'string' && text.startsWith(marker) ? BigInt(text.slice(marker.length)) : undefined;
}

/** `{ Value: … }`. */
export function valueExpression(value: JsonValue): JsonObject {
  return Object.assign(emptyObject(), { Value: value });
}

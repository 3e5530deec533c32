import { canonicalJson } from '../../base/json.ts';
import type { EvaluationRequest } from '../../policy/authzen.ts';

/** JSON that needs no escape between its quotes: most names are of it. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** The JSON of an evaluation request, as `JSON.stringify` makes it, in two thirds of the time. */
export function questionJson({ subject, action, resource, context }: EvaluationRequest): string {
  let json = `{"subject":${entityJson(subject)},"action":{"name":${textJson(action.name)}`;
  if (action.properties !== undefined) json += `,"properties":${valueJson(action.properties)}`;
  json += `},"resource":${entityJson(resource)}`;
  if (context !== undefined) json += `,"context":${valueJson(context)}`;
  return `${json}}`;
}

function entityJson({ type, id, properties }: EvaluationRequest['subject']): string {
  const named = `{"type":${textJson(type)},"id":${textJson(id)}`;
  return properties === undefined ? `${named}}` : `${named},"properties":${valueJson(properties)}}`;
}

function textJson(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** JSON.stringify refuses integers beyond 2^53, which a question may hold. */
export function valueJson(value: object): string {
  try {
    return JSON.stringify(value);
  } catch {
    return canonicalJson(value);
  }
}

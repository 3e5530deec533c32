/*
 * What no line of the decision log ever holds, whatever a release masks: credentials that a caller put into a
 * question by mistake. Told by their form (API keys of a release, JSON Web Tokens, values of an Authorization
 * header) and by the names of the headers that carry them.
 */
const KEY = String.raw`(?:(?:proxy-)?authorization|(?:set-)?cookie|x-api-key)`;
const VALUE = String.raw`(?:(?:bearer|basic) |sbk_[0-9A-Za-z]{40}|eyJ[\w-]+\.eyJ[\w-]+\.)`;
const IN_JSON = new RegExp(String.raw`"${KEY}"|["\s=]${VALUE}`, 'i');
const IS_KEY = new RegExp(`^${KEY}$`, 'i');
const IN_VALUE = new RegExp(String.raw`(?:^|["\s=])${VALUE}`, 'i');

/** Whether JSON text holds what looks like a credential: one pass over it, for the many that hold none. */
export function holdsCredential(json: string): boolean {
  return IN_JSON.test(json);
}

/** Paths of the keys and values that look like credentials. */
export function findCredentials(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value === 'string') return IN_VALUE.test(value) ? [[...path]] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    IS_KEY.test(key) ? [[...path, key]] : findCredentials(member, [...path, key]),
  );
}

import { BaseError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, parseJson } from '../base/json.ts';
import { type Reader, isObject, jsonObject, list, optional, readShape, record } from '../base/shape.ts';
import { readYaml } from '../base/yaml.ts';
import { AccessError } from './access-error.ts';
import {
  type AccessDocument,
  MAX_API_KEYS,
  MAX_IDENTITY_SOURCES,
  MAX_PROXIES,
  MAX_ROUTES,
  parseAccessDocument,
} from './document.ts';
import type { Route } from './rules.ts';
import { apiKeyShape, identitySourceShape } from './identity-shapes.ts';
import { proxyShape, routeShape } from './route-shapes.ts';
import { type Relation, relate } from './template.ts';

/** A file of `access/`: `*.yaml`, or `*.jwks.json` with the keys of an issuer of tokens. */
export type AccessFile = { file: string; bytes: Uint8Array };

/** Checks a field with one reader, and hands on what was written. */
function asWritten<T>(reader: Reader<T>): Reader<JsonObject> {
  return (value, path, problems) => {
    reader(value, path, problems);
    return value as JsonObject;
  };
}

const fileShape = record({
  proxies: optional(list(asWritten(proxyShape), { max: MAX_PROXIES })),
  routes: optional(list(asWritten(routeShape), { max: MAX_ROUTES })),
  identity: optional(list(asWritten(identitySourceShape), { max: MAX_IDENTITY_SOURCES })),
  apiKeys: optional(list(asWritten(apiKeyShape), { max: MAX_API_KEYS })),
});

/**
 * Compiles `access/` into the section of `policy.json`; undefined where there is no such file. What every file
 * has of one kind is put together; `identity`, whose order matters, stands in one file.
 * @throws AccessError `access-invalid` with file and line; `routes-ambiguous`
 */
export function compileAccess(files: readonly AccessFile[]): JsonObject | undefined {
  const keySets = new Map(
    files.filter(({ file }) => file.endsWith('.jwks.json')).map((one) => [baseName(one.file), one]),
  );
  const written = files.filter(({ file }) => file.endsWith('.yaml'));
  if (written.length === 0) return undefined;
  const section = { proxies: [], routes: [], identity: [], apiKeys: [] } as Record<string, JsonValue[]>;
  let identityFile: string | undefined;
  for (const { file, bytes } of written) {
    const { value, yaml } = reading(() => readYaml(bytes, file, fileShape));
    if (value.identity !== undefined) {
      if (identityFile !== undefined) {
        throw new AccessError('access-invalid', `${file}: "identity" stands in ${identityFile} already`, {
          hint: 'Its order matters, so all of it stands in one file.',
        });
      }
      identityFile = file;
    }
    section['proxies']?.push(...(value.proxies ?? []));
    section['apiKeys']?.push(...(value.apiKeys ?? []));
    section['identity']?.push(...(value.identity ?? []).map((source) => withKeys(source, file, keySets)));
    const placed = (value.routes ?? []).map((route, index) => ({
      ...route,
      file,
      line: yaml.lineOf(['routes', index]),
    }));
    section['routes']?.push(...placed);
  }
  requireUnambiguous(reading(() => parseAccessDocument(section)));
  return section;
}

/** Puts the issuer's keys, which are written in a file of their own, where the release has them. */
function withKeys(source: JsonObject, file: string, keySets: ReadonlyMap<string, AccessFile>): JsonObject {
  if (!isObject(source['jwt'])) return source;
  const { jwks, ...rules } = source['jwt'];
  const keySet = typeof jwks === 'string' ? keySets.get(jwks) : undefined;
  if (keySet === undefined) {
    throw new AccessError('access-invalid', `${file}: there is no access/${JSON.stringify(jwks)}`, {
      hint: "Save the issuer's JWKS under that name.",
    });
  }
  const { keys } = reading(() =>
    readShape(
      record({ keys: list(jsonObject(), { max: 1000 }) }, { open: true }),
      parseJson(keySet.bytes, keySet.file, { maxBytes: MAX_JWKS_BYTES }),
      keySet.file,
    ),
  );
  // Issuers publish keys for encryption in the same set.
  return { jwt: { ...rules, keys: keys.filter((key) => key['use'] !== 'enc').map(publicPart) } };
}

const MAX_JWKS_BYTES = 1024 * 1024;

/** What verifying needs; what makes a key private stays too, so that it is refused by name. */
function publicPart(key: JsonObject): JsonObject {
  const kept = ['kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'alg', 'd', 'k'];
  return Object.fromEntries(Object.entries(key).filter(([name]) => kept.includes(name)));
}

/** Every two routes that can fit one request must agree which is the more specific one. */
function requireUnambiguous({ routes }: AccessDocument): void {
  routes.forEach((route, index) => {
    for (const other of routes.slice(0, index)) {
      const { template } = route;
      const method = template.methods.find((one) => other.template.methods.includes(one));
      if (method === undefined) continue;
      const relation = combine(relate(template.parts, other.template.parts), relateHosts(route, other));
      if (relation !== 'same' && relation !== 'crossing') continue;
      throw new AccessError(
        'routes-ambiguous',
        `${placeOf(route)}: "${template.text}" and "${other.template.text}" at ${placeOf(other)} ` +
          `fit the same ${method} requests${(route.hosts ?? other.hosts) ? ' of a host' : ''}, and neither is the more specific one`,
        { hint: 'Write the one out where the other has a variable, or take one away.' },
      );
    }
  });
}

/** A host counts as one segment more: a route for some hosts is more specific than one for any. */
function relateHosts({ hosts: first }: Route, { hosts: second }: Route): Relation {
  if (first === undefined || second === undefined) {
    if (first === second) return 'same';
    return first === undefined ? 'second' : 'first';
  }
  return first.some((host) => second.includes(host)) ? 'same' : 'disjoint';
}

function combine(path: Relation, host: Relation): Relation {
  if (path === 'disjoint' || host === 'disjoint') return 'disjoint';
  if (path === 'same') return host;
  return host === 'same' || host === path ? path : 'crossing';
}

function placeOf({ file, line }: Route): string {
  return `${file}:${line}`;
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new AccessError('access-invalid', cause.message, {
      cause,
      hint: 'docs/policy-repository.md shows every field of access/*.yaml.',
    });
  }
}

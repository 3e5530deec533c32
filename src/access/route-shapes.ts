import { parseEntityUid } from '../base/entity-uid.ts';
import {
  type Reader,
  dictionary,
  isObject,
  list,
  mapped,
  oneOf,
  optional,
  record,
  text,
  whole,
} from '../base/shape.ts';
import type { Proxy, ResourceSource, Route, ValueSource } from './rules.ts';
import { readHost } from './host-name.ts';
import { type RouteTemplate, parseTemplate } from './template.ts';

/** A header field's name (RFC 9110 section 5.1); in lower case from here on. */
export const headerName: Reader<string> = mapped(
  text({ max: 128, pattern: /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, is: 'the name of a header' }),
  (name) => name.toLowerCase(),
);
const header = record({ header: headerName });

/** A proxy as the release names it. */
export const proxyShape: Reader<Proxy> = record({
  name: text({ max: 64, pattern: /^[a-z0-9][a-z0-9-]*$/, is: 'a name of a-z, 0-9 and "-"' }),
  method: headerOr(oneOf('request')),
  uri: headerOr(oneOf('path')),
  host: optional(headerOr(oneOf('request'))),
});

function headerOr<T>(word: Reader<T>): Reader<{ header: string } | T> {
  return (value, path, problems) => (isObject(value) ? header : word)(value, path, problems);
}

const variableName = text({ max: 64, pattern: /^[A-Za-z][A-Za-z0-9_]*$/, is: 'the name of a variable' });
const as = optional(oneOf('string', 'long', 'boolean'));

/** A value that the release itself states. */
export const constant: Reader<string | number | boolean> = (value, path, problems) => {
  if (typeof value === 'boolean') return value;
  const reader = typeof value === 'number' ? whole(Number.MIN_SAFE_INTEGER) : text({ min: 0, max: 1024 });
  return reader(value, path, problems);
};

const fromPath = record({ path: variableName, as });
const fromHeader = record({ header: headerName, as });
const fromRelease = record({ value: constant });
const valueSource: Reader<ValueSource> = (value, path, problems) => {
  if (isObject(value) && 'path' in value) return fromPath(value, path, problems);
  if (isObject(value) && 'header' in value) return fromHeader(value, path, problems);
  return fromRelease(value, path, problems);
};
const values = dictionary(valueSource, { max: 100 });

const resourceText: Reader<ResourceSource> = mapped(text({ max: 2048 }), (word) => {
  const [, type, variable] = /^((?:\w+::)*\w+)::\{(\w+)\}$/.exec(word) ?? [];
  if (type !== undefined && variable !== undefined) return { type, id: { path: variable } };
  const uid = parseEntityUid(word);
  if (uid === undefined || /[{}]/.test(uid.id)) {
    throw new Error('must be such as Ledger::{ledger}, with {ledger} in the path, or Ledger::"main"');
  }
  return { type: uid.type, id: { value: uid.id } };
});
const resourceRecord: Reader<ResourceSource> = mapped(
  record({ type: text({ max: 1024 }), header: headerName }),
  ({ type, header: name }) => ({ type, id: { header: name } }),
);
const resource: Reader<ResourceSource> = (value, path, problems) =>
  (isObject(value) ? resourceRecord : resourceText)(value, path, problems);

const hostName: Reader<string> = mapped(text({ max: 300 }), (word) => {
  const read = readHost(word);
  if (read === undefined || read.port !== undefined) {
    throw new Error(
      'must be a host such as shop.example or "[2001:db8::1]", without a port or a dot at its end',
    );
  }
  return read.host;
});

const routeFields = {
  route: mapped(text({ max: 8192 }), parseTemplate),
  hosts: optional(list(hostName, { min: 1, max: 64 })),
  action: text({ max: 1024 }),
  resource,
  context: optional(values),
  properties: optional(values),
};

/** A route as it is written, without its place. */
export const routeShape: Reader<Omit<Route, 'file' | 'line'>> = mapped(record(routeFields), readRoute);
/** A route of a compiled release, with the place it was written at. */
export const placedRouteShape: Reader<Route> = mapped(
  record({ ...routeFields, file: text({ max: 4096 }), line: whole(1) }),
  readRoute,
);

/** Refuses a route that uses a variable which its path does not have. */
function readRoute<R extends { route: RouteTemplate } & Pick<Route, 'resource' | 'context' | 'properties'>>({
  route: template,
  ...route
}: R): Omit<R, 'route'> & { template: RouteTemplate } {
  const names = new Set(template.parts.flatMap((part) => (part.kind === 'literal' ? [] : [part.name])));
  const used = [route.resource.id, ...(route.context?.values() ?? []), ...(route.properties?.values() ?? [])];
  for (const source of used) {
    if ('path' in source && !names.has(source.path)) {
      throw new Error(`uses {${source.path}}, which the path "${template.text}" does not have`);
    }
  }
  return { ...route, template };
}

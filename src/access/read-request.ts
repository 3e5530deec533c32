import { type JsonObject, type JsonValue, emptyObject } from '../base/json.ts';
import { type HeaderReader, REPEATED, repeatedHeader } from './ask-headers.ts';
import type { AccessDocument } from './document.ts';
import type { Proxy, ResourceSource, Route, ValueSource, Values } from './rules.ts';
import { readHost } from './host-name.ts';
import { type Segment, readNormalPath } from './normal-path.ts';
import { type Refusal, type RequestRefusal, refuse } from './refusal.ts';
import { type RouteMatch, createRouteTable } from './route-table.ts';

/** A request to `/authz/…` as it came in. */
export type AskedRequest = { method: string; target: string; header: HeaderReader };

/** What a request is for: the question without its subject. */
export type Wanted = {
  route: Route;
  action: { name: string };
  resource: { type: string; id: string; properties?: JsonObject };
  context: JsonObject;
};

type Refused = Refusal<RequestRefusal>;

/**
 * Headers with which frameworks let a client change the method or path of a request after a proxy has looked at
 * it (Rails, Laravel, ASP.NET; Symfony and IIS). Unless the release itself names one, a request that has one is
 * refused.
 */
const OVERRIDES = [
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
];
/** The header in which a proxy tells its application who is asking; it replaces the client's, but not an alias of it. */
export const SUBJECT_HEADER = 'x-sealborn-subject';
/** Characters of an id that a header gives at most. */
const MAX_VALUE = 1024;

/** Makes what reads a proxy's request by the release: which request it asks about, and what that is for. */
export function createRequestReader({
  proxies,
  routes,
}: Pick<AccessDocument, 'proxies' | 'routes'>): (request: AskedRequest) => Wanted | Refused {
  const byName = new Map(proxies.map((proxy) => [proxy.name, proxy]));
  const named = new Set(proxies.flatMap(({ method, uri }) => [method, uri].map((from) => headerOf(from))));
  const overrides = OVERRIDES.filter((name) => !named.has(name));
  const find = createFinder(routes);
  return (request) => {
    const [, name = '', rest = ''] = /^\/authz\/([^/?]*)(.*)$/s.exec(request.target) ?? [];
    const proxy = byName.get(name);
    if (proxy === undefined) return refuse('proxy-unknown', 'the release names no such proxy');
    const override = overrides.find((header) => request.header(header) !== undefined);
    if (override !== undefined) {
      return refuse(
        'method-override',
        `the header ${override} would have another request be made of this one`,
      );
    }
    if (request.header(SUBJECT_HEADER) === REPEATED)
      return refuse('header-repeated', repeatedHeader(SUBJECT_HEADER));
    const original = originalOf(proxy, request, rest);
    if ('refused' in original) return original;
    const path = readNormalPath(original.uri);
    if (typeof path === 'string') return refuse('path-not-normal', `the path ${path}`);
    const host = find.needsHost ? hostOf(proxy, request.header) : '';
    if (typeof host === 'object') return host;
    const match = find.route(original.method, path, host);
    return 'refused' in match ? match : wantedOf(match, request.header);
  };
}

type Found = ReturnType<ReturnType<typeof createRouteTable<Route>>>;

/**
 * Finds a request's route: among those of its host first, then among those for any. The build refused every pair in
 * which one for any host is the more specific one by its path. What looks like a path of either is refused.
 */
function createFinder(routes: readonly Route[]): {
  needsHost: boolean;
  route: (method: string, path: readonly Segment[], host: string) => Found;
} {
  const ofHost = Map.groupBy(
    routes.flatMap((route) => (route.hosts ?? []).map((host) => ({ host, route }))),
    ({ host }) => host,
  );
  const tables = new Map(
    [...ofHost].map(([host, all]) => [host, createRouteTable(all.map(({ route }) => route))]),
  );
  const forAny = createRouteTable(routes.filter(({ hosts }) => hosts === undefined));
  return {
    needsHost: tables.size > 0,
    route: (method, path, host) => {
      const common = forAny(method, path);
      const own = tables.get(host)?.(method, path);
      if (own === undefined || ('refused' in common && common.refused === 'path-look-alike')) return common;
      return 'refused' in own && own.refused === 'no-route' ? common : own;
    },
  };
}

/** The host that the proxy asks about, from where the release says that it names it and from nowhere else. */
function hostOf({ host = 'request' }: Proxy, header: HeaderReader): string | Refused {
  const said = requiredHeader(host === 'request' ? 'host' : host.header, header);
  if (typeof said === 'object') return said;
  return readHost(said)?.host ?? refuse('host-not-normal', 'the host is none in normal form');
}

function headerOf(from: Proxy['method'] | Proxy['uri']): string | undefined {
  return typeof from === 'string' ? undefined : from.header;
}

/** The request that the proxy asks about. */
function originalOf(
  { method, uri }: Proxy,
  { method: ownMethod, header }: AskedRequest,
  rest: string,
): { method: string; uri: string } | Refused {
  const said = [
    method === 'request' ? ownMethod : requiredHeader(method.header, header),
    uri === 'path' ? rest : requiredHeader(uri.header, header),
  ] as const;
  const [originalMethod, originalUri] = said;
  if (typeof originalMethod !== 'string') return originalMethod;
  if (typeof originalUri !== 'string') return originalUri;
  return { method: originalMethod, uri: originalUri };
}

function requiredHeader(name: string, header: HeaderReader): string | Refused {
  const value = header(name);
  if (value === REPEATED) return refuse('header-repeated', repeatedHeader(name));
  return value ?? refuse('request-missing', `the header ${name}, which says what is asked, is not there`);
}

function wantedOf(match: RouteMatch<Route>, header: HeaderReader): Wanted | Refused {
  const { route } = match;
  const id = readId(route.resource, match, header);
  if (typeof id !== 'string') return id;
  const context = readValues(route.context, match, header);
  if ('refused' in context) return context;
  const properties = readValues(route.properties, match, header);
  if ('refused' in properties) return properties;
  return {
    route,
    action: { name: route.action },
    resource: {
      type: route.resource.type,
      id,
      ...(route.properties === undefined ? {} : { properties: properties.values }),
    },
    context: context.values,
  };
}

function readId({ id }: ResourceSource, match: RouteMatch<Route>, header: HeaderReader): string | Refused {
  const value = readText(id, match, header);
  if (value === undefined)
    return refuse('header-malformed', "the header with the resource's id is not there");
  return typeof value === 'object' ? value : String(value);
}

/** Values by their names; what a header does not give is left out, so that the schema says if it may be. */
function readValues(
  values: Values | undefined,
  match: RouteMatch<Route>,
  header: HeaderReader,
): { values: JsonObject } | Refused {
  const out = emptyObject();
  for (const [name, source] of values ?? []) {
    const text = readText(source, match, header);
    if (text === undefined) continue;
    if (typeof text === 'object') return text;
    const value = typeof text === 'string' ? readAs(text, source.as) : text;
    if (value === undefined) return refuse('header-malformed', `"${name}" is no ${source.as ?? 'string'}`);
    out[name] = value;
  }
  return { values: out };
}

function readText(
  source: ResourceSource['id'] | ValueSource,
  { variables }: RouteMatch<Route>,
  header: HeaderReader,
): string | number | boolean | undefined | Refused {
  if ('value' in source) return source.value;
  if ('path' in source) return variables.get(source.path);
  const value = header(source.header);
  if (value === REPEATED) return refuse('header-repeated', repeatedHeader(source.header));
  // Beyond ASCII, what a header's bytes mean is not agreed on (RFC 9110 section 5.5).
  if (value !== undefined && (value.length > MAX_VALUE || !/^[ -~]*$/.test(value))) {
    return refuse('header-malformed', `the header ${source.header} is too long or not plain ASCII`);
  }
  return value;
}

function readAs(text: string, as: ValueSource['as']): JsonValue | undefined {
  switch (as) {
    case undefined:
    case 'string':
      return text;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'long': {
      // One spelling for each number, of 64 bits as Cedar's.
      if (!/^(?:0|-?[1-9][0-9]{0,18})$/.test(text)) return undefined;
      const exact = BigInt(text);
      if (BigInt.asIntN(64, exact) !== exact) return undefined;
      return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
    }
  }
}

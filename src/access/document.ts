import { BaseError } from '../base/errors.ts';
import type { JsonObject } from '../base/json.ts';
import { list, readShape, record } from '../base/shape.ts';
import { AccessError } from './access-error.ts';
import type { ApiKey } from './api-key.ts';
import { apiKeyShape, identityShape } from './identity-shapes.ts';
import { placedRouteShape, proxyShape } from './route-shapes.ts';
import type { IdentitySource, JwtRules, Proxy, Route } from './rules.ts';

/** How a release reads requests, and whom it knows: `access` in `policy.json`. */
export type AccessDocument = {
  proxies: Proxy[];
  routes: Route[];
  /** In the order in which they are tried. */
  identity: IdentitySource[];
  apiKeys: ApiKey[];
};

/** Routes of a release at most; each is compared with every other when it is built. */
export const MAX_ROUTES = 5000;
export const MAX_PROXIES = 64;
export const MAX_IDENTITY_SOURCES = 16;
export const MAX_API_KEYS = 100_000;

const documentShape = record({
  proxies: list(proxyShape, { max: MAX_PROXIES }),
  routes: list(placedRouteShape, { max: MAX_ROUTES }),
  identity: list(identityShape, { max: MAX_IDENTITY_SOURCES }),
  apiKeys: list(apiKeyShape, { max: MAX_API_KEYS }),
});

/** What a release without the section has: nobody is known, and nothing has a route. */
export const NO_ACCESS: AccessDocument = { proxies: [], routes: [], identity: [], apiKeys: [] };

/**
 * Reads the section `access` of `policy.json`; absent, it is empty, and refuses every request.
 * @throws AccessError `access-invalid`
 */
export function parseAccessDocument(section: JsonObject | undefined): AccessDocument {
  if (section === undefined) return NO_ACCESS;
  try {
    const document = readShape(documentShape, section, 'policy.json: access');
    requireDistinct(
      'proxy',
      document.proxies.map(({ name }) => name),
    );
    requireDistinct(
      'API key',
      document.apiKeys.map(({ id }) => id),
    );
    requireDistinct(
      'API key with the hash',
      document.apiKeys.map(({ sha256 }) => sha256),
    );
    // The first source that takes a token answers for it, so that a second one would never be asked.
    requireDistinct(
      'issuer of tokens',
      document.identity.flatMap((source) => ('jwt' in source ? [placeOfTokens(source.jwt)] : [])),
    );
    requireProxiesAreNobody(document);
    requireHosts(document);
    return document;
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new AccessError('access-invalid', cause.message, { cause });
  }
}

function placeOfTokens({ header, scheme = '', issuer }: JwtRules): string {
  return `${header}: ${scheme.toLowerCase()} ${issuer}`;
}

/** A proxy that were a subject itself would be it for each client that shows nothing. */
function requireProxiesAreNobody({ identity }: AccessDocument): void {
  const peers = identity.flatMap((source) => ('peer' in source ? [source.peer] : []));
  for (const source of identity) {
    if (!('clientCertificate' in source)) continue;
    const { users = [], groups = [] } = source.clientCertificate.proxies;
    const both =
      users.find((name) => peers.some((peer) => peer.users?.has(String(name)))) ??
      groups.find((name) => peers.some((peer) => peer.groups?.has(String(name))));
    if (both === undefined) continue;
    throw new AccessError('access-invalid', `identity: "${both}" is a proxy, and a subject under "peer"`, {
      hint: 'Every client of the proxy would be that subject. Let its own requests show an API key.',
    });
  }
}

/** Where a route is for some hosts alone, each proxy must say for which one it asks. */
function requireHosts({ proxies, routes }: AccessDocument): void {
  const route = routes.find(({ hosts }) => hosts !== undefined);
  const proxy = route && proxies.find(({ host }) => host === undefined);
  if (proxy === undefined || route === undefined) return;
  throw new AccessError(
    'access-invalid',
    `${route.file}:${route.line}: "hosts" needs each proxy to say which host it asks about; "${proxy.name}" has no "host"`,
    {
      hint: 'Add host: request, or host: { header: X-Forwarded-Host } where the proxy sets that header itself.',
    },
  );
}

function requireDistinct(what: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw new AccessError('access-invalid', `the ${what} "${name}" stands twice`);
    seen.add(name);
  }
}

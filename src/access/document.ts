import type { EntityUid } from '../base/entity-uid.ts';
import { BaseError } from '../base/errors.ts';
import type { JsonObject } from '../base/json.ts';
import { list, readShape, record } from '../base/shape.ts';
import { AccessError } from './access-error.ts';
import type { ApiKey } from './api-key.ts';
import type { PublicJwk } from './jwk.ts';
import { apiKeyShape, identityShape } from './identity-shapes.ts';
import { placedRouteShape, proxyShape } from './route-shapes.ts';
import type { RouteTemplate } from './template.ts';

/** Where a proxy says which method and URI it asks about: in a header, or by its own request. */
export type Proxy = {
  /** It asks at `/authz/<name>`. */
  name: string;
  method: { header: string } | 'request';
  /** `path`: what follows the name in the request's own target. */
  uri: { header: string } | 'path';
  /** Where it says for which host, where routes ask; `request`: in the Host of its own request. */
  host?: { header: string } | 'request';
};

/** Where a value comes from (a variable of the path, a header, or the release itself), and what it is read as. */
export type ValueSource = { as?: 'string' | 'long' | 'boolean' } & (
  | { path: string }
  | { header: string }
  | { value: string | number | boolean }
);

export type Values = ReadonlyMap<string, ValueSource>;

/** A resource's type, and where its id comes from. */
export type ResourceSource = { type: string; id: { path: string } | { header: string } | { value: string } };

export type Route = {
  template: RouteTemplate;
  /** The only hosts it is for, as `readHost` writes them; absent, any. */
  hosts?: string[];
  action: string;
  resource: ResourceSource;
  context?: Values;
  properties?: Values;
  file: string;
  line: number;
};

/** A credential in a header: its whole value, or what follows an authentication scheme. */
export type CredentialHeader = { header: string; scheme?: string };

export type JwtRules = CredentialHeader & {
  issuer: string;
  audience: string;
  algorithms: string[];
  keys: PublicJwk[];
  /** How far the clocks of issuer and machine may differ. */
  clockSkewSeconds?: number;
  /** A token issued longer ago is refused, whatever its `exp`. */
  maxAgeSeconds?: number;
  /** What the header's `typ` must be, such as `at+jwt` (RFC 9068). */
  typ?: string;
  /** Claims that must have exactly this value. */
  claims?: ReadonlyMap<string, string | number | boolean>;
  subject: { type: string; claim: string };
  /** The subject's attributes, each by the claim it is taken from; used where its type is open. */
  properties?: ReadonlyMap<string, string>;
};

/** Users and groups of the machine, by name or number. */
export type Accounts = { users?: (string | number)[]; groups?: (string | number)[] };

export type CertificateRules = {
  header: string;
  /** Whose word is taken for it: processes that ask over the Unix socket. */
  proxies: Accounts;
  /** By the header's value, exactly as the proxy writes it. */
  subjects: ReadonlyMap<string, EntityUid>;
};

/** Subjects by the name or number of the user or group that a process runs as. */
export type PeerRules = { users?: ReadonlyMap<string, EntityUid>; groups?: ReadonlyMap<string, EntityUid> };

export type IdentitySource =
  | { apiKey: CredentialHeader }
  | { jwt: JwtRules }
  | { clientCertificate: CertificateRules }
  | { peer: PeerRules };

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
    requireHosts(document);
    return document;
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new AccessError('access-invalid', cause.message, { cause });
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

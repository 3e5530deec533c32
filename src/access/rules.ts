import type { EntityUid } from '../base/entity-uid.ts';
import type { PublicJwk } from './jwk.ts';
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

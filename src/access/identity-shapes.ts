import { entityUid } from '../base/entity-uid.ts';
import {
  type Reader,
  bool,
  dictionary,
  digest,
  isObject,
  list,
  mapped,
  moment,
  oneOf,
  optional,
  record,
  text,
  whole,
} from '../base/shape.ts';
import type { ApiKey } from './api-key.ts';
import type { Accounts, IdentitySource, JwtRules } from './rules.ts';
import { isKeyFor, publicJwk } from './jwk.ts';
import { constant, headerName } from './route-shapes.ts';

const scheme = text({
  max: 32,
  pattern: /^[A-Za-z][A-Za-z0-9-]*$/,
  is: 'an authentication scheme such as Bearer',
});

/** Public-key signatures alone: with an HMAC, whoever can verify can also forge, and `none` is no signature. */
const algorithm = oneOf(
  'EdDSA',
  'Ed25519',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
);
/** Ten minutes: what is more is no difference of clocks. */
const MAX_CLOCK_SKEW_SECONDS = 600;

const jwtFields = {
  header: headerName,
  scheme: optional(scheme),
  issuer: text({ max: 1024 }),
  audience: text({ max: 1024 }),
  algorithms: list(algorithm, { min: 1, max: 11 }),
  clockSkewSeconds: optional(whole(0, MAX_CLOCK_SKEW_SECONDS)),
  maxAgeSeconds: optional(whole(1)),
  typ: optional(text({ max: 64 })),
  claims: optional(dictionary(constant, { max: 64 })),
  subject: record({ type: text({ max: 1024 }), claim: text({ max: 256 }) }),
  properties: optional(dictionary(text({ max: 256 }), { max: 64 })),
};

/** Without names for several keys, a verifier would have to try each (RFC 7515 section 6). */
const keys = mapped(list(publicJwk, { min: 1, max: 64 }), (all) => {
  const names = new Set(all.map(({ kid }) => kid));
  if (all.length > 1 && (names.size < all.length || names.has(undefined))) {
    throw new Error('of several keys, each must have a kid of its own');
  }
  return all;
});
const jwt: Reader<JwtRules> = mapped(record({ ...jwtFields, keys }), (rules) => {
  if (rules.keys.some((key) => rules.algorithms.some((name) => isKeyFor(name, key)))) return rules;
  throw new Error(`has no key for ${rules.algorithms.join(', ')}, so that no token would verify`);
});
/** As it is written: the keys stand in a file beside. */
const jwtSource = record({
  ...jwtFields,
  jwks: text({ max: 255, pattern: /^[\w.-]+\.jwks\.json$/, is: 'a file of access/ that ends in .jwks.json' }),
});

/** The kernel says 65534 of a process whose user it can't name here (user_namespaces(7)). */
const OVERFLOW_ID = 65_534;
const account: Reader<string | number> = mapped(
  (value, path, problems) =>
    typeof value === 'number'
      ? whole(0, 4_294_967_294)(value, path, problems)
      : text({ max: 64 })(value, path, problems),
  (name) => {
    if (name === OVERFLOW_ID || name === 'nobody' || name === 'nogroup') {
      throw new Error(
        'must be an account of its own: the kernel says "nobody" of every user it does not know',
      );
    }
    return name;
  },
);
const accountList = optional(list(account, { max: 64 }));
const proxies: Reader<Accounts> = record({ users: accountList, groups: accountList });
const subjects = dictionary(entityUid, { max: 10_000 });
const byAccount = optional(
  mapped(subjects, (all) => {
    for (const name of all.keys()) {
      if (name === 'nobody' || name === 'nogroup' || name === String(OVERFLOW_ID)) {
        throw new Error('must not name "nobody": the kernel says it of every user it does not know');
      }
    }
    return all;
  }),
);

const otherSources = {
  apiKey: optional(record({ header: headerName, scheme: optional(scheme) })),
  clientCertificate: optional(record({ header: headerName, proxies, subjects })),
  peer: optional(record({ users: byAccount, groups: byAccount })),
};

/** A source of identity in a compiled release. */
export const identityShape: Reader<IdentitySource> = one(record({ ...otherSources, jwt: optional(jwt) }));
/** A source of identity as it is written. */
export const identitySourceShape: Reader<object> = one(record({ ...otherSources, jwt: optional(jwtSource) }));

/** Exactly one of the fields that there are. */
function one<T extends object, S>(fields: Reader<T>): Reader<S> {
  return mapped(
    (value, path, problems) => {
      if (!isObject(value) || Object.keys(value).length !== 1) {
        problems.push({ path, message: 'must be one of apiKey, jwt, clientCertificate, peer' });
      }
      return fields(value, path, problems);
    },
    (source) => source as unknown as S,
  );
}

/** An API key of the release: its hash, and whose it is. */
export const apiKeyShape: Reader<ApiKey> = record({
  id: text({ max: 128, pattern: /^[A-Za-z0-9][\w.:-]*$/, is: 'a name of letters, digits and ._:-' }),
  subject: entityUid,
  sha256: digest,
  expires: optional(moment),
  revoked: optional(bool),
});

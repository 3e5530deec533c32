import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from 'jose';

import { BaseError, messageOf } from '../base/errors.ts';
import { type JsonObject, emptyObject, parseJson } from '../base/json.ts';
import type { JwtRules } from './rules.ts';
import { type Refusal, refuse } from './refusal.ts';

/** Characters of a token at most: those of large issuers take some 2,000. */
const MAX_TOKEN = 8192;
const DEFAULT_CLOCK_SKEW_SECONDS = 30;
/** Characters of a subject's id at most. */
const MAX_ID = 1024;

/** Objects inside each other in a token at most. */
const MAX_DEPTH = 32;

/** What a token that verified says. */
export type TokenSubject = { id: string; properties: JsonObject };
export type TokenRefusal = Refusal<'token-invalid' | 'token-expired'>;
export type TokenCheck = (token: string, now: Date) => Promise<TokenSubject | TokenRefusal>;

/**
 * The issuer that a token names, nothing of it verified: it chooses whose keys and rules the token is held to.
 * Undefined where the text is no token.
 */
export function claimedIssuer(token: string): string | undefined {
  if (token.length > MAX_TOKEN) return undefined;
  const [, payload] = /^[\w-]+\.([\w-]+)\.[\w-]*$/.exec(token) ?? [];
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null || !('iss' in claims)) return undefined;
    return typeof claims.iss === 'string' ? claims.iss : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Makes the check of one issuer's tokens (JWT, RFC 7519; practices of RFC 8725): signed by one of the release's
 * keys with one of the release's algorithms, for its audience, not expired, with the claims it asks for. What
 * the token says of keys (`jku`, `jwk`, `x5u`) is not looked at. jose is loaded with the first token.
 */
export function createTokenCheck(rules: JwtRules): TokenCheck {
  const { subject, claims, properties } = rules;
  const whose = `the token of ${rules.issuer}`;
  let keys: JWTVerifyGetKey | undefined;
  const options: JWTVerifyOptions = {
    issuer: rules.issuer,
    audience: rules.audience,
    algorithms: rules.algorithms,
    clockTolerance: rules.clockSkewSeconds ?? DEFAULT_CLOCK_SKEW_SECONDS,
    requiredClaims: ['exp', subject.claim, ...(claims?.keys() ?? [])],
    ...(rules.maxAgeSeconds === undefined ? {} : { maxTokenAge: rules.maxAgeSeconds }),
    ...(rules.typ === undefined ? {} : { typ: rules.typ }),
  };
  return async (token, now) => {
    const problem = malformation(token);
    if (problem !== undefined) return refuse('token-invalid', `${whose}: ${problem}`);
    const { createLocalJWKSet, errors, jwtVerify } = await import('jose');
    keys ??= createLocalJWKSet({ keys: rules.keys });
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, keys, { ...options, currentDate: now }));
    } catch (thrown) {
      if (thrown instanceof errors.JWTExpired) return refuse('token-expired', `${whose}: ${thrown.message}`);
      return refuse('token-invalid', `${whose}: ${messageOf(thrown)}`);
    }
    for (const [name, wanted] of claims ?? []) {
      if (payload[name] !== wanted)
        return refuse('token-invalid', `${whose}: unexpected "${name}" claim value`);
    }
    const id = payload[subject.claim];
    if (typeof id !== 'string' || id === '' || id.length > MAX_ID || !id.isWellFormed()) {
      return refuse('token-invalid', `${whose}: its claim "${subject.claim}" is no id`);
    }
    const said = propertiesOf(payload, properties);
    if (!isExact(said))
      return refuse('token-invalid', `${whose}: a claim is a number that can't be read exactly`);
    return { id, properties: said };
  };
}

/**
 * What keeps header or payload from being read alike by all: a key that stands twice (RFC 7515 section 4 and RFC 7519
 * section 4 let a reader refuse or take the last; jose takes the last, others the first), text that is not UTF-8,
 * unpaired surrogates.
 */
function malformation(token: string): string | undefined {
  const parts = token.split('.');
  try {
    for (const [index, what] of ['its header', 'its payload'].entries()) {
      const bytes = Buffer.from(parts[index] ?? '', 'base64url');
      parseJson(bytes, what, { maxBytes: MAX_TOKEN, maxDepth: MAX_DEPTH });
    }
    return undefined;
  } catch (thrown) {
    if (thrown instanceof BaseError) return thrown.message;
    throw thrown;
  }
}

/** Whether no number was rounded: jose reads tokens with JSON.parse, which rounds integers beyond 2^53. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value) || !Number.isInteger(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact);
}

function propertiesOf(payload: JWTPayload, wanted: JwtRules['properties']): JsonObject {
  const out = emptyObject();
  for (const [property, claim] of wanted ?? []) {
    const value = payload[claim];
    if (value !== undefined) out[property] = value as JsonObject[string];
  }
  return out;
}

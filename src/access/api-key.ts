import { randomBytes, timingSafeEqual } from 'node:crypto';

import { type Sha256, sha256 } from '../base/digest.ts';
import type { EntityUid } from '../base/entity-uid.ts';
import { type Refusal, refuse } from './refusal.ts';

/** Begins every key, so that a scanner finds one that leaked. */
export const API_KEY_PREFIX = 'sbk_';
/** 256 bits in base 62 are 43 digits; 6 more are the checksum, so that a scanner never reports what is no key. */
const SECRET_DIGITS = 43;
const CHECK_DIGITS = 6;
const KEY = new RegExp(`^${API_KEY_PREFIX}[0-9A-Za-z]{${SECRET_DIGITS + CHECK_DIGITS}}$`);

/** A key as the release holds it: never the key, only its SHA-256. */
export type ApiKey = {
  /** What it is called in the decision log and by people. */
  id: string;
  subject: EntityUid;
  /** Of the whole key, prefix and checksum included. */
  sha256: Sha256;
  /** RFC 3339 in UTC. */
  expires?: string;
  /** Kept in the release so that its use can be told from a wrong key's. */
  revoked?: boolean;
};

/**
 * Makes a key of 256 random bits: `sbk_`, 43 digits of base 62, and 6 of checksum.
 *
 * Its plain SHA-256 is what a release keeps. A slow hash (bcrypt, Argon2) makes guessing a *password* dear; of
 * 2^256 equally likely keys none is ever guessed, and a slow hash would only slow every request down.
 */
export function newApiKey(): { key: string; sha256: Sha256 } {
  const secret = base62(BigInt(`0x${randomBytes(32).toString('hex')}`), SECRET_DIGITS);
  const key = `${API_KEY_PREFIX}${secret}${checksum(secret)}`;
  return { key, sha256: sha256(key) };
}

/** Whether the text has the form of a key, checksum included. */
export function isApiKey(text: string): boolean {
  if (!KEY.test(text)) return false;
  const secret = text.slice(API_KEY_PREFIX.length, -CHECK_DIGITS);
  return text.endsWith(checksum(secret));
}

export type ApiKeyCheck = (
  presented: string,
  now: Date,
) => ApiKey | Refusal<'api-key-malformed' | 'api-key-unknown' | 'api-key-revoked' | 'api-key-expired'>;

/**
 * Makes the check of presented keys. What is looked up is the hash of what was presented, so that the time it
 * takes tells nothing of the keys there are; the hashes are then compared in constant time besides.
 */
export function createApiKeyCheck(keys: readonly ApiKey[]): ApiKeyCheck {
  const byHash = new Map(keys.map((key) => [key.sha256, { key, bytes: Buffer.from(key.sha256, 'hex') }]));
  return (presented, now) => {
    if (!isApiKey(presented)) return refuse('api-key-malformed', 'the API key is mistyped or cut off');
    const hash = sha256(presented);
    const found = byHash.get(hash);
    if (found === undefined || !timingSafeEqual(found.bytes, Buffer.from(hash, 'hex'))) {
      return refuse('api-key-unknown', 'the release has no such API key');
    }
    const { id, revoked, expires } = found.key;
    if (revoked === true) return refuse('api-key-revoked', `the API key "${id}" is revoked`);
    if (expires !== undefined && now.getTime() >= Date.parse(expires)) {
      return refuse('api-key-expired', `the API key "${id}" expired at ${expires}`);
    }
    return found.key;
  };
}

function checksum(secret: string): string {
  return base62(BigInt(`0x${sha256(`${API_KEY_PREFIX}${secret}`).slice(0, 8)}`), CHECK_DIGITS);
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

function base62(number: bigint, length: number): string {
  let out = '';
  for (let rest = number; out.length < length; rest /= 62n) out = `${DIGITS[Number(rest % 62n)] ?? ''}${out}`;
  return out;
}

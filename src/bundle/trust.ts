import { type Sha256, sha256 } from '../base/digest.ts';
import { type PublicKey, loadPublicKey } from '../base/ed25519.ts';
import { BaseError } from '../base/errors.ts';
import { list, optional, record, text, whole } from '../base/shape.ts';
import { readYaml } from '../base/yaml.ts';
import { BundleError } from './bundle-error.ts';
import { environmentName } from './statement.ts';

/** Whose signatures a machine accepts, and for what. Made only by `parseTrust`. */
export type TrustSet = {
  /** The one environment whose releases this machine runs. */
  environment: string;
  /** Distinct keys that must have signed. */
  threshold: number;
  keys: PublicKey[];
  /** A release with a lower sequence is refused. 0 where the file says nothing. */
  minimumSequence: number;
  /** SHA-256 of the file's exact bytes: what a pin from outside the image names. */
  digest: Sha256;
};

/** Bytes of trust.yaml at most: sixteen keys of 120 bytes and comments fit many times. */
export const MAX_TRUST_BYTES = 65_536;
/** Keys in a trust set at most; bounds the work of trying signatures. */
export const MAX_TRUST_KEYS = 16;

const trustShape = record({
  environment: environmentName,
  threshold: whole(1, MAX_TRUST_KEYS),
  keys: list(text({ max: 4096 }), { min: 1, max: MAX_TRUST_KEYS }),
  minimumSequence: optional(whole()),
});

/**
 * Reads a trust set (`trust.yaml`).
 * @throws BundleError `trust-malformed`, `trust-key-invalid`, `trust-key-weak` (small or mixed order, not
 * canonical), `trust-key-duplicate`, `trust-threshold`; messages name file and line
 */
export function parseTrust(bytes: Uint8Array, file: string): TrustSet {
  if (bytes.length > MAX_TRUST_BYTES) {
    throw new BundleError('trust-malformed', `${file} is larger than ${MAX_TRUST_BYTES} bytes`);
  }
  const { value, yaml } = readTrustYaml(bytes, file);
  const keys: PublicKey[] = [];
  value.keys.forEach((pem, index) => {
    const where = `${file}:${yaml.lineOf(['keys', index])}: keys[${index}]`;
    const key = loadTrustedKey(pem, where);
    if (keys.some((other) => other.id === key.id)) {
      throw new BundleError('trust-key-duplicate', `${where} stands in the trust set twice`, {
        hint: 'Each key is listed once; a threshold counts distinct keys.',
      });
    }
    keys.push(key);
  });
  if (value.threshold > keys.length) {
    throw new BundleError(
      'trust-threshold',
      `${file}:${yaml.lineOf(['threshold'])}: threshold ${value.threshold} can't be met with ${keys.length} keys`,
      { hint: 'Lower the threshold or add the missing keys.' },
    );
  }
  return {
    environment: value.environment,
    threshold: value.threshold,
    keys,
    minimumSequence: value.minimumSequence ?? 0,
    digest: sha256(bytes),
  };
}

/**
 * Checks a trust set against a pin that came from outside the image.
 * @throws BundleError `trust-pin-mismatch`
 */
export function checkTrustPin(trust: TrustSet, pin: Sha256, file: string): void {
  if (trust.digest === pin) return;
  throw new BundleError(
    'trust-pin-mismatch',
    `${file} has SHA-256 ${trust.digest}, but the pin says ${pin}`,
    {
      hint: 'Either the image holds another trust set than the one the machine was started for, or the pin is out of date.',
    },
  );
}

function readTrustYaml(bytes: Uint8Array, file: string): ReturnType<typeof readYaml<TrustFile>> {
  try {
    return readYaml(bytes, file, trustShape);
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new BundleError('trust-malformed', cause.message, {
      cause,
      hint: 'A trust set has environment, threshold, keys (a list of PEM public keys) and, optionally, minimumSequence.',
    });
  }
}

type TrustFile = { environment: string; threshold: number; keys: string[]; minimumSequence?: number };

function loadTrustedKey(pem: string, where: string): PublicKey {
  try {
    return loadPublicKey(pem, where);
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    const code = cause.code === 'key-weak' ? 'trust-key-weak' : 'trust-key-invalid';
    throw new BundleError(code, cause.message, {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    });
  }
}

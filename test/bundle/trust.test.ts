import { describe, expect, it } from 'vitest';

import { sha256 } from '../../src/base/digest.ts';
import { publicKeyPem } from '../../src/base/ed25519.ts';
import { checkTrustPin, parseTrust } from '../../src/bundle/trust.ts';
import { MIXED_ORDER, ORDER_8, pemOfRaw } from '../support/crafted-signatures.ts';
import { newKey, trust, trustYaml } from './bundle-fixture.ts';

const a = newKey();
const b = newKey();

describe('parseTrust', () => {
  it('reads environment, threshold, keys and minimumSequence', () => {
    const yaml = trustYaml([a, b], { threshold: 2, minimumSequence: 5 });
    const set = parseTrust(Buffer.from(yaml), 'trust.yaml');
    expect(set).toMatchObject({ environment: 'production', threshold: 2, minimumSequence: 5 });
    expect(set.keys.map((key) => key.id)).toEqual([a.publicKey.id, b.publicKey.id]);
    expect(set.digest).toBe(sha256(yaml));
    expect(trust([a]).minimumSequence).toBe(0);
  });

  it.each([
    ['attack 38: a small-order key', trustYaml([a, pemOfRaw(ORDER_8.toBytes())]), 'trust-key-weak'],
    ['attack 38: the all-zero key', trustYaml([pemOfRaw(Buffer.alloc(32))]), 'trust-key-weak'],
    ['attack 40: a mixed-order key', trustYaml([pemOfRaw(MIXED_ORDER.toBytes())]), 'trust-key-weak'],
    ['text for a key', trustYaml(['hello']), 'trust-key-invalid'],
    ['a key twice', trustYaml([a, publicKeyPem(a.publicKey)]), 'trust-key-duplicate'],
    ['a threshold above the number of keys', trustYaml([a], { threshold: 2 }), 'trust-threshold'],
    ['a threshold of 0', trustYaml([a], { threshold: 0 }), 'trust-malformed'],
    ['no keys', 'environment: production\nthreshold: 1\nkeys: []\n', 'trust-malformed'],
    ['an unknown field', `${trustYaml([a])}skipVerification: true\n`, 'trust-malformed'],
    ['a missing environment', trustYaml([a]).replace(/^environment.*\n/, ''), 'trust-malformed'],
    ['YAML that is none', 'environment: [', 'trust-malformed'],
    ['an empty file', '', 'trust-malformed'],
    ['a file that is too large', `${trustYaml([a])}# ${'x'.repeat(70_000)}\n`, 'trust-malformed'],
  ])('refuses %s', (_, yaml, code) => {
    expect(() => parseTrust(Buffer.from(yaml), 'trust.yaml')).toThrow(expect.objectContaining({ code }));
  });

  it('names file and line of a bad key', () => {
    expect(() => parseTrust(Buffer.from(trustYaml([a, 'hello'])), 'trust.yaml')).toThrow(
      /^trust\.yaml:8: keys\[1\]/,
    );
  });
});

describe('checkTrustPin', () => {
  it('attack 43: refuses another trust set than the pinned one', () => {
    const set = trust([a]);
    checkTrustPin(set, set.digest, 'trust.yaml');
    expect(() => checkTrustPin(trust([b]), set.digest, 'trust.yaml')).toThrow(
      expect.objectContaining({ code: 'trust-pin-mismatch' }),
    );
  });
});

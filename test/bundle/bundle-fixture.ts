import { sha256 } from '../../src/base/digest.ts';
import { type PrivateKey, generateKeyPair, loadPrivateKey, publicKeyPem } from '../../src/base/ed25519.ts';
import type { BundleFiles } from '../../src/bundle/bundle-files.ts';
import { produceBundle, signRelease } from '../../src/bundle/produce.ts';
import type { ReleasePredicate } from '../../src/bundle/statement.ts';
import { type TrustSet, parseTrust } from '../../src/bundle/trust.ts';
import { rulesWith } from '../support/rules.ts';

export function newKey(): PrivateKey {
  return loadPrivateKey(generateKeyPair().privatePem, 'test key');
}

export const PREDICATE: ReleasePredicate = {
  name: 'payments',
  version: '1.4.0',
  sequence: 7,
  environment: 'production',
  source: { uri: 'https://git.example/payments', commit: 'c0ffee', dirty: false },
  builtAt: '2026-11-23T12:00:00Z',
  builder: 'sealborn 0.1.0',
  tests: { passed: 3, total: 3, digest: sha256('tests') },
  measure: rulesWith({ mutable: ['/tmp'], absent: ['/etc/ld.so.preload'] }),
  decisionLog: { whenFull: 'block', mask: [] },
  format: { bundle: 1, manifest: 1, policy: 1 },
};

/** trust.yaml as text. */
export function trustYaml(
  keys: readonly (PrivateKey | string)[],
  options: { threshold?: number; environment?: string; minimumSequence?: number } = {},
): string {
  const { threshold = 1, environment = 'production', minimumSequence } = options;
  const pems = keys.map((key) => (typeof key === 'string' ? key : publicKeyPem(key.publicKey)));
  const list = pems.map((pem) => `  - |\n${pem.trimEnd().replaceAll(/^/gm, '    ')}\n`).join('');
  const minimum = minimumSequence === undefined ? '' : `minimumSequence: ${minimumSequence}\n`;
  return `environment: ${environment}\nthreshold: ${threshold}\n${minimum}keys:\n${list}`;
}

export function trust(...args: Parameters<typeof trustYaml>): TrustSet {
  return parseTrust(Buffer.from(trustYaml(...args)), 'trust.yaml');
}

/** A bundle of opaque policy and manifest bytes, signed by `keys`. */
export function bundle(keys: readonly PrivateKey[], change: Partial<ReleasePredicate> = {}): BundleFiles {
  const files = produceBundle(
    { ...PREDICATE, ...change },
    Buffer.from('{"policy":1}'),
    Buffer.from('#mtree\n'),
  );
  return {
    ...files,
    'release.dsse.json': keys.reduce((release, key) => signRelease(release, key), files['release.dsse.json']),
  };
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { sha256 } from '../../src/base/digest.ts';
import { formatEnvelope, parseEnvelope, signEnvelope } from '../../src/base/dsse.ts';
import { canonicalJson } from '../../src/base/json.ts';
import { BUNDLE_FILE_NAMES, type BundleFiles } from '../../src/bundle/bundle-files.ts';
import { signRelease } from '../../src/bundle/produce.ts';
import { formatStatement } from '../../src/bundle/statement.ts';
import { verifyBundle } from '../../src/bundle/verify.ts';
import { PREDICATE, bundle, newKey, trust } from './bundle-fixture.ts';

const a = newKey();
const b = newKey();
const c = newKey();

const refusal = (code: string): unknown => expect.objectContaining({ code });
const payloadOf = (files: BundleFiles): Buffer =>
  parseEnvelope(files['release.dsse.json'], 'e', 1 << 20).payload;

/** The bundle with its statement's text changed and signed again: a release that an honest key signed badly. */
function resigned(change: (statement: Record<string, unknown>) => void): BundleFiles {
  const files = bundle([]);
  const statement = JSON.parse(payloadOf(files).toString()) as Record<string, unknown>;
  change(statement);
  const payload = Buffer.from(canonicalJson(statement));
  const envelope = signEnvelope({ payloadType: 'application/vnd.in-toto+json', payload, signatures: [] }, a);
  return { ...files, 'release.dsse.json': Buffer.from(formatEnvelope(envelope)) };
}

describe('verifyBundle', () => {
  it('gives the release, the predicate, the exact bytes and who signed', () => {
    const files = bundle([a]);
    const verified = verifyBundle(files, trust([a]));
    expect(verified.release).toEqual({
      name: 'payments',
      version: '1.4.0',
      sequence: 7,
      environment: 'production',
      commit: 'c0ffee',
      digest: sha256(payloadOf(files)),
    });
    expect(verified.predicate).toEqual(PREDICATE);
    expect(verified.policy).toBe(files['policy.json']);
    expect(verified.signers).toEqual([a.publicKey.id]);
    expect(verified.digests.get('release.dsse.json')).toBe(sha256(files['release.dsse.json']));
  });

  it('keeps the release digest when a signature is added', () => {
    const one = verifyBundle(bundle([a]), trust([a]));
    const two = verifyBundle(bundle([a, b]), trust([a, b], { threshold: 2 }));
    expect(two.release.digest).toBe(one.release.digest);
    expect(two.signers).toHaveLength(2);
  });

  it('attack 37: refuses an unsigned bundle, a wrong key, a removed key, k-1 of k, one key twice', () => {
    expect(() => verifyBundle(bundle([]), trust([a]))).toThrow(refusal('unsigned'));
    expect(() => verifyBundle(bundle([c]), trust([a]))).toThrow(refusal('threshold-not-met'));
    expect(() => verifyBundle(bundle([a]), trust([b, c]))).toThrow(refusal('threshold-not-met'));
    expect(() => verifyBundle(bundle([a]), trust([a, b, c], { threshold: 2 }))).toThrow(
      refusal('threshold-not-met'),
    );
    const once = bundle([a]);
    const envelope = parseEnvelope(once['release.dsse.json'], 'e', 1 << 20);
    const [signature] = envelope.signatures;
    const twice = { ...envelope, signatures: [signature!, { ...signature!, keyid: b.publicKey.id }] };
    expect(() =>
      verifyBundle(
        { ...once, 'release.dsse.json': Buffer.from(formatEnvelope(twice)) },
        trust([a, b], { threshold: 2 }),
      ),
    ).toThrow(refusal('threshold-not-met'));
    expect(verifyBundle(bundle([a, c]), trust([a, b, c], { threshold: 2 })).signers).toHaveLength(2);
  });

  it('attack 35: refuses an older release below minimumSequence', () => {
    expect(() => verifyBundle(bundle([a]), trust([a], { minimumSequence: 8 }))).toThrow(
      refusal('sequence-too-old'),
    );
    expect(verifyBundle(bundle([a]), trust([a], { minimumSequence: 7 })).release.sequence).toBe(7);
  });

  it('attack 36: refuses a release for another environment', () => {
    expect(() => verifyBundle(bundle([a]), trust([a], { environment: 'staging' }))).toThrow(
      refusal('environment-mismatch'),
    );
  });

  it('attack 45: refuses one byte changed in each of the three files', () => {
    const files = bundle([a]);
    const set = trust([a]);
    fc.assert(
      fc.property(
        fc.constantFrom(...BUNDLE_FILE_NAMES),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (name, at, xor) => {
          const changed = Buffer.from(files[name]);
          changed[at % changed.length]! ^= xor;
          const tampered = { ...files, [name]: changed };
          if (name !== 'release.dsse.json') {
            expect(() => verifyBundle(tampered, set)).toThrow(refusal('digest-mismatch'));
            return;
          }
          // White space and the keyid are outside the signature: then it is the very release that was signed.
          try {
            expect(verifyBundle(tampered, set).release).toEqual(verifyBundle(files, set).release);
          } catch (thrown) {
            expect(thrown).toMatchObject({ name: 'BundleError' });
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('never looks inside a payload that is not signed', () => {
    const files = resigned((statement) => (statement['_type'] = 'nonsense'));
    expect(() => verifyBundle(files, trust([b]))).toThrow(refusal('threshold-not-met'));
    expect(() => verifyBundle(files, trust([a]))).toThrow(refusal('statement-malformed'));
  });

  it.each<[string, (statement: Record<string, unknown>) => void, string]>([
    [
      'another predicate type',
      (s) => (s['predicateType'] = 'https://slsa.dev/provenance/v1'),
      'format-unsupported',
    ],
    [
      'a newer format',
      (s) => ((s['predicate'] as { format: object }).format = { bundle: 2, manifest: 1, policy: 1 }),
      'format-unsupported',
    ],
    [
      'an unknown field',
      (s) => ((s['predicate'] as Record<string, unknown>)['lax'] = true),
      'statement-malformed',
    ],
    ['no subjects', (s) => (s['subject'] = []), 'statement-malformed'],
    [
      'one subject twice',
      (s) => (s['subject'] = [0, 0].map(() => (s['subject'] as unknown[])[0])),
      'statement-malformed',
    ],
    [
      'a root that escapes',
      (s) => ((s['predicate'] as { measure: { roots: string[] } }).measure.roots = ['/usr/../etc']),
      'statement-malformed',
    ],
    [
      'no roots',
      (s) => ((s['predicate'] as { measure: { roots: string[] } }).measure.roots = []),
      'statement-malformed',
    ],
    ['sequence 0', (s) => ((s['predicate'] as { sequence: number }).sequence = 0), 'statement-malformed'],
  ])('refuses a signed statement with %s', (_, change, code) => {
    expect(() => verifyBundle(resigned(change), trust([a]))).toThrow(refusal(code));
  });

  it.each([
    ['no JSON', 'x', 'envelope-malformed'],
    [
      'a duplicate key',
      '{"payload": "", "payload": "", "payloadType": "t", "signatures": []}',
      'envelope-malformed',
    ],
    [
      'another payload type',
      '{"payload": "", "payloadType": "text/plain", "signatures": []}',
      'payload-type-unknown',
    ],
    ['a million nested arrays', `{"payload": ${'['.repeat(500_000)}`, 'envelope-malformed'],
  ])('refuses an envelope with %s', (_, text, code) => {
    const files = { ...bundle([a]), 'release.dsse.json': Buffer.from(text) };
    expect(() => verifyBundle(files, trust([a]))).toThrow(refusal(code));
  });
});

describe('formatStatement and signRelease', () => {
  it('give the same bytes for the same release', () => {
    const files = { 'manifest.mtree': Buffer.from('m'), 'policy.json': Buffer.from('p') };
    expect(formatStatement(PREDICATE, files)).toEqual(formatStatement(structuredClone(PREDICATE), files));
    expect(bundle([a])['release.dsse.json']).toEqual(bundle([a])['release.dsse.json']);
  });
  it('signRelease signs no statement that a machine would refuse', () => {
    const files = resigned((statement) => (statement['subject'] = []));
    expect(() => signRelease(files['release.dsse.json'], b)).toThrow(refusal('statement-malformed'));
  });
});

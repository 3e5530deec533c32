import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AttestationError } from '../../src/attestation/attestation-error.ts';
import { MAX_REPORT_BYTES, buildReport, signReport, verifyReport } from '../../src/attestation/report.ts';
import { MAX_WORDS } from '../../src/attestation/statement.ts';
import { PAYLOAD_TYPE } from '../../src/base/in-toto.ts';
import { sha256 } from '../../src/base/digest.ts';
import { type Envelope, formatEnvelope, parseEnvelope, signEnvelope } from '../../src/base/dsse.ts';
import { type PrivateKey, publicKeyPem } from '../../src/base/ed25519.ts';
import { canonicalJson } from '../../src/base/json.ts';
import { DRIFTED, RELEASE, TRUSTED, newKey, testHost } from './hosts.ts';

const key = newKey();
const other = newKey();

/** The code of the AttestationError that `run` throws. */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof AttestationError) return thrown.code;
    throw thrown;
  }
  return 'accepted';
}

/** The body over a statement changed by `change`, signed by `signer`: as a host that lies would make it. */
function lie(change: (statement: Statement) => void, signer: PrivateKey = key): Buffer {
  const honest = parseEnvelope(testHost('web-1', {}, key).next().body, 'report', MAX_REPORT_BYTES);
  const statement = JSON.parse(honest.payload.toString()) as Statement;
  change(statement);
  const payload = Buffer.from(canonicalJson(statement));
  return Buffer.from(
    formatEnvelope(signEnvelope({ payloadType: PAYLOAD_TYPE, payload, signatures: [] }, signer)),
  );
}
type Statement = {
  _type: string;
  subject: { name: string; digest: Record<string, string> }[];
  predicateType: string;
  predicate: Record<string, unknown> & { host: Record<string, unknown>; verdict: Record<string, unknown> };
};

describe('verifyReport', () => {
  test('gives back what was put in, with the id of the key and the digest of the body', () => {
    const { body } = testHost('web-1', { labels: { role: 'web', __proto__x: 'y' } }, key).next({
      verdict: DRIFTED,
      nonce: 'abc123',
      decisionLog: { head: sha256('log'), seq: 12 },
      spool: { dropped: 3 },
    });
    const report = verifyReport(body);
    expect(report.digest).toBe(sha256(body));
    expect(report.host.id).toBe(key.publicKey.id);
    expect(report.host.publicKey).toBe(publicKeyPem(key.publicKey));
    expect({ ...report.host.labels }).toEqual({ role: 'web', __proto__x: 'y' });
    expect({ ...report.host.facts }).toEqual({ hostname: 'web-1' });
    expect(report.verdict).toEqual(DRIFTED);
    expect(report.release).toEqual(RELEASE);
    expect([report.seq, report.previous, report.nonce]).toEqual([1, null, 'abc123']);
    expect([report.decisionLog, report.spool]).toEqual([{ head: sha256('log'), seq: 12 }, { dropped: 3 }]);
  });

  test('the same report is the same bytes', () => {
    const make = (): Buffer => testHost('web-1', {}, key).next().body;
    expect(make().equals(make())).toBe(true);
  });

  test('property: what is built is read back', () => {
    const words = fc.dictionary(fc.string({ minLength: 1, maxLength: 64 }), fc.string({ maxLength: 256 }), {
      maxKeys: 5,
    });
    const line = fc.string({ maxLength: 50, unit: 'binary' });
    const drift = fc.array(
      fc.record({
        path: fc.string({ minLength: 1, maxLength: 50 }),
        kind: fc.constantFrom('modified' as const, 'missing' as const, 'overmounted' as const),
        expected: line,
        actual: line,
        at: fc.constant('2026-11-23T12:05:00Z'),
      }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(
        words,
        words,
        drift,
        fc.integer({ min: 2, max: 2 ** 53 - 1 }),
        (labels, facts, drift, seq) => {
          const verdict = { ...DRIFTED, drift, driftTotal: drift.length };
          const { body } = testHost('', { labels, facts }, key).next({ seq, previous: sha256('x'), verdict });
          const report = verifyReport(body);
          expect(canonicalJson(report.host.labels)).toBe(canonicalJson(labels));
          expect(canonicalJson(report.host.facts)).toBe(canonicalJson(facts));
          expect(report.verdict).toEqual(verdict);
          expect(report.seq).toBe(seq);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('property: a changed, added or removed byte anywhere is refused', () => {
    const { body } = testHost('web-1', {}, key).next();
    const changed = fc.oneof(
      fc.tuple(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
        const bytes = Buffer.from(body);
        bytes[at] = bytes[at]! ^ by;
        return bytes;
      }),
      fc
        .tuple(fc.nat(body.length), fc.constantFrom(...Buffer.from(' \n\t,"A=}')))
        .map(([at, byte]) => Buffer.concat([body.subarray(0, at), Buffer.from([byte]), body.subarray(at)])),
      fc.nat(body.length - 1).map((at) => Buffer.concat([body.subarray(0, at), body.subarray(at + 1)])),
    );
    fc.assert(
      fc.property(changed, (bytes) => {
        expect(refusal(() => verifyReport(bytes))).not.toBe('accepted');
      }),
      { numRuns: 1000 },
    );
  });

  test('refuses a second spelling of the same envelope: spacing, fields, keyid, alphabet', () => {
    const { body } = testHost('web-1', {}, key).next();
    const envelope = parseEnvelope(body, 'report', MAX_REPORT_BYTES);
    const sig = envelope.signatures[0]!.sig;
    const spellings: Envelope[] = [
      { ...envelope, signatures: [{ keyid: undefined, sig }] },
      { ...envelope, signatures: [{ keyid: other.publicKey.id, sig }] },
    ];
    const bodies = [
      ...spellings.map((spelling) => formatEnvelope(spelling)),
      JSON.stringify(JSON.parse(body.toString())),
      `${body.toString()} `,
      body.toString().replace('"payloadType"', '"more": 1,\n  "payloadType"'),
      body.toString().replace('in-toto', 'in\\u002dtoto'),
    ];
    for (const text of bodies) {
      expect(refusal(() => verifyReport(Buffer.from(text)))).toBe('envelope-not-canonical');
    }
  });

  test('refuses a signature by another key, with that key in the envelope or not', () => {
    const { body } = testHost('web-1', {}, key).next();
    const { payload } = parseEnvelope(body, 'report', MAX_REPORT_BYTES);
    const unsigned = { payloadType: PAYLOAD_TYPE, payload, signatures: [] };
    const byOther = signEnvelope(unsigned, other);
    expect(refusal(() => verifyReport(Buffer.from(formatEnvelope(byOther))))).toBe('envelope-not-canonical');
    const sig = byOther.signatures[0]!.sig;
    const disguised = { ...byOther, signatures: [{ keyid: key.publicKey.id, sig }] };
    expect(refusal(() => verifyReport(Buffer.from(formatEnvelope(disguised))))).toBe('signature-invalid');
    expect(refusal(() => verifyReport(Buffer.from(formatEnvelope(unsigned))))).toBe('envelope-malformed');
    const two = signEnvelope(signEnvelope(unsigned, key), other);
    expect(refusal(() => verifyReport(Buffer.from(formatEnvelope(two))))).toBe('envelope-malformed');
  });

  test("refuses a host that speaks under another host's id, and says whose was claimed", () => {
    const body = lie(({ predicate }) => void (predicate.host['id'] = other.publicKey.id));
    expect(refusal(() => verifyReport(body))).toBe('identity-mismatch');
    expect(() => verifyReport(body)).toThrow(expect.objectContaining({ claimedHost: other.publicKey.id }));
    const subject = lie(({ subject }) => void (subject[0]!.digest['sha256'] = other.publicKey.id));
    expect(refusal(() => verifyReport(subject))).toBe('identity-mismatch');
  });

  test('refuses a key of small order', () => {
    const der = Buffer.concat([
      Buffer.from('302a300506032b6570032100', 'hex'),
      Buffer.from(`01${'00'.repeat(31)}`, 'hex'),
    ]);
    const pem = `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
    const body = lie(({ predicate }) => void (predicate.host['publicKey'] = pem));
    expect(refusal(() => verifyReport(body))).toBe('host-key-weak');
    const noKey = lie(({ predicate }) => void (predicate.host['publicKey'] = 'no key'));
    expect(refusal(() => verifyReport(noKey))).toBe('host-key-invalid');
  });

  const malformed: [string, string, (statement: Statement) => void][] = [
    ['seq 0', 'statement-malformed', ({ predicate }) => void (predicate['seq'] = 0)],
    ['seq 1.5', 'statement-malformed', ({ predicate }) => void (predicate['seq'] = 1.5)],
    [
      'a second report without previous',
      'statement-malformed',
      ({ predicate }) => void (predicate['seq'] = 2),
    ],
    [
      'a first report with previous',
      'statement-malformed',
      ({ predicate }) => void (predicate['previous'] = sha256('x')),
    ],
    ['no nonce field', 'statement-malformed', ({ predicate }) => void delete predicate['nonce']],
    [
      'no verdict',
      'statement-malformed',
      ({ predicate }) => void delete (predicate as { verdict?: unknown }).verdict,
    ],
    [
      'an unknown state',
      'statement-malformed',
      ({ predicate }) => void (predicate.verdict['state'] = 'fine'),
    ],
    [
      'a date that is none',
      'statement-malformed',
      ({ predicate }) => void (predicate['createdAt'] = 'today'),
    ],
    [
      "a release that is not the verdict's",
      'statement-malformed',
      ({ predicate }) => void (predicate['release'] = { ...RELEASE, sequence: 8 }),
    ],
    [
      'too many labels',
      'statement-malformed',
      ({ predicate }) => {
        const names = Array.from({ length: MAX_WORDS + 1 }, (_, n) => [`l${n}`, '']);
        predicate.host['labels'] = Object.fromEntries(names) as unknown;
      },
    ],
    ['two subjects', 'statement-malformed', ({ subject }) => void subject.push(subject[0]!)],
    ['no subject', 'statement-malformed', ({ subject }) => void subject.pop()],
    ['another statement type', 'statement-malformed', (statement) => void (statement._type = 'x')],
    [
      'another version',
      'format-unsupported',
      (statement) => void (statement.predicateType = 'urn:sealborn:report:v2'),
    ],
  ];
  test.each(malformed)('refuses, though signed: %s', (_, code, change) => {
    expect(refusal(() => verifyReport(lie(change)))).toBe(code);
  });

  test('ignores fields that it does not know, as in-toto asks', () => {
    const body = lie((statement) => {
      Object.assign(statement, { more: 1 });
      Object.assign(statement.predicate, { cloud: { identity: 'x' } });
      Object.assign(statement.predicate.host, { more: 1 });
      Object.assign(statement.predicate.verdict, { mounts: [] });
    });
    expect(verifyReport(body).verdict).toEqual(TRUSTED);
  });

  test.each([
    ['nothing', '', 'envelope-malformed'],
    ['no JSON', 'hello', 'envelope-malformed'],
    ['a list', '[]', 'envelope-malformed'],
    ['deep nesting', '['.repeat(100_000), 'envelope-malformed'],
    [
      'another payload type',
      '{"payloadType":"x","payload":"","signatures":[{"sig":"AA=="}]}',
      'payload-type-unknown',
    ],
    [
      'a payload that is no JSON',
      `{"payloadType":"${PAYLOAD_TYPE}","payload":"AA==","signatures":[{"sig":"AA=="}]}`,
      'statement-malformed',
    ],
    ['more than the limit', ' '.repeat(MAX_REPORT_BYTES + 1), 'report-too-large'],
  ])('refuses %s', (_, text, code) => {
    expect(refusal(() => verifyReport(Buffer.from(text)))).toBe(code);
  });
});

describe('buildReport', () => {
  test('leaves out findings that would not fit, and still counts them', () => {
    const finding = { ...DRIFTED.drift[0]!, path: `/${'\u0001'.repeat(4095)}`, expected: 'é'.repeat(8000) };
    const verdict = { ...DRIFTED, drift: Array.from({ length: 100 }, () => finding), driftTotal: 4711 };
    const { body } = testHost('web-1', {}, key).next({ verdict });
    expect(body.length).toBeLessThanOrEqual(MAX_REPORT_BYTES);
    const report = verifyReport(body);
    expect(report.verdict.driftTotal).toBe(4711);
    expect(report.verdict.drift.length).toBeGreaterThan(5);
    expect(report.verdict.drift.length).toBeLessThan(100);
  });

  test('a report fits whatever its host puts into its other fields', () => {
    const worst = '\u0001';
    const names = Array.from({ length: MAX_WORDS }, (_, n) => [
      worst.repeat(62) + String.fromCharCode(200 + n),
      worst.repeat(256),
    ]);
    const words = Object.fromEntries(names) as Record<string, string>;
    const finding = { ...DRIFTED.drift[0]!, path: worst.repeat(65_536), expected: worst.repeat(65_536) };
    const verdict = {
      ...DRIFTED,
      drift: [finding],
      driftTotal: 1,
      reason: { code: worst.repeat(256), message: worst.repeat(65_536) },
    };
    const { body } = testHost('', { labels: words, facts: words }, key).next({ verdict });
    expect(body.length).toBeLessThanOrEqual(MAX_REPORT_BYTES);
    expect(verifyReport(body).verdict).toMatchObject({ drift: [], driftTotal: 1 });
  });

  test('refuses a field out of bounds', () => {
    expect(refusal(() => testHost('x'.repeat(257), {}, key).next())).toBe('statement-malformed');
  });
});

describe('signReport', () => {
  test("does not sign another host's statement", () => {
    const statement = buildReport(
      {
        host: { labels: {}, facts: {} },
        bootId: 'b',
        seq: 1,
        previous: null,
        nonce: null,
        createdAt: '2026-11-23T12:00:00Z',
        verdict: { ...TRUSTED, state: 'starting' },
        release: RELEASE,
      },
      other.publicKey,
    );
    expect(refusal(() => signReport(statement, key))).toBe('identity-mismatch');
    expect(refusal(() => signReport(statement, other))).toBe('accepted');
  });
});

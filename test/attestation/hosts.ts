import { buildReport, signReport } from '../../src/attestation/report.ts';
import type { Report } from '../../src/attestation/statement.ts';
import type { Verdict } from '../../src/attestation/verdict.ts';
import { type Sha256, sha256 } from '../../src/base/digest.ts';
import { type PrivateKey, generateKeyPair, loadPrivateKey } from '../../src/base/ed25519.ts';
import type { ReleaseId } from '../../src/base/release-id.ts';

export const RELEASE: ReleaseId = {
  name: 'payments',
  version: '1.4.0',
  sequence: 7,
  environment: 'production',
  commit: 'a'.repeat(40),
  digest: sha256('payments 1.4.0'),
};

export const TRUSTED: Verdict = {
  state: 'trusted',
  since: '2026-11-23T12:00:00.000Z',
  release: RELEASE,
  measured: { files: 2140, bytes: 214_000_000, seconds: 0.9 },
  drift: [],
  driftTotal: 0,
  assurance: 'software',
};

export const DRIFTED: Verdict = {
  ...TRUSTED,
  state: 'drifted',
  since: '2026-11-23T12:05:00.000Z',
  drift: [
    {
      path: '/usr/bin/ssh',
      kind: 'modified',
      expected: 'sha256=11',
      actual: 'sha256=22',
      at: '2026-11-23T12:05:00.000Z',
    },
  ],
  driftTotal: 1,
};

/** A key of its own, as an agent makes at its first start. */
export function newKey(): PrivateKey {
  return loadPrivateKey(generateKeyPair().privatePem, 'test key');
}

export type Fields = Partial<Omit<Report, 'host'>> & {
  labels?: Report['host']['labels'];
  facts?: Report['host']['facts'];
};

/** A host that keeps its chain as an agent does: each report follows the one before. */
export type TestHost = {
  readonly key: PrivateKey;
  readonly id: Sha256;
  /** The next report of the chain. */
  next: (fields?: Fields) => { body: Buffer; digest: Sha256; seq: number };
  /** A report that is not put into the chain. */
  other: (fields?: Fields) => { body: Buffer; digest: Sha256; seq: number };
};

export function testHost(hostname = 'web-1', defaults: Fields = {}, key: PrivateKey = newKey()): TestHost {
  let seq = 0;
  let previous: Sha256 | null = null;
  const make = (fields: Fields): { body: Buffer; digest: Sha256; seq: number } => {
    const { labels = {}, facts = { hostname }, ...rest } = { ...defaults, ...fields };
    const verdict = rest.verdict ?? TRUSTED;
    const body = signReport(
      buildReport(
        {
          host: { labels, facts },
          bootId: '0b0b0b0b-0000-4000-8000-000000000001',
          seq: seq + 1,
          previous,
          nonce: null,
          createdAt: '2026-11-23T12:00:00.000Z',
          ...(verdict.release === undefined ? {} : { release: verdict.release }),
          verdict,
          ...rest,
        },
        key.publicKey,
      ),
      key,
    );
    return { body, digest: sha256(body), seq: rest.seq ?? seq + 1 };
  };
  return {
    key,
    id: key.publicKey.id,
    next: (fields = {}) => {
      const report = make(fields);
      ({ seq, digest: previous } = report);
      return report;
    },
    other: (fields = {}) => make(fields),
  };
}

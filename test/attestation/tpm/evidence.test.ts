import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { AttestationError } from '../../../src/attestation/attestation-error.ts';
import { endorsementProblem, parseEndorsementRoots } from '../../../src/attestation/tpm/endorsement.ts';
import { signEnrolment, verifyEnrolment } from '../../../src/attestation/tpm/enrolment.ts';
import {
  type TpmEvent,
  eventDigest,
  replayLog,
  verdictEvent,
} from '../../../src/attestation/tpm/event-log.ts';
import {
  type EvidenceContext,
  type TpmEvidence,
  checkEvidence,
  quoteBinding,
} from '../../../src/attestation/tpm/evidence.ts';
import { makeCredential } from '../../../src/attestation/tpm/tpm-credential.ts';
import {
  type TpmPublic,
  parseTpmPublic,
  requireAttestationKey,
  requireEndorsementKey,
} from '../../../src/attestation/tpm/tpm-public.ts';
import { verifyQuote } from '../../../src/attestation/tpm/tpm-quote.ts';
import { sha256 } from '../../../src/base/digest.ts';
import { type Tpm, openTpm } from '../../../src/host/tpm.ts';
import { NO_SWTPM, type SoftwareTpm, certifyBy, startSwtpm } from '../../support/swtpm.ts';
import { DRIFTED, RELEASE, TRUSTED, newKey } from '../hosts.ts';

if (NO_SWTPM !== undefined) process.stderr.write(`skipped: the TPM's tests: ${NO_SWTPM}\n`);

const PCR = 15;
const CORE = sha256('a report');
const NOON = '2026-11-23T12:00:00.000Z';

/** Two TPMs: the machine's, and another's that is as good. */
type Chip = {
  chip: SoftwareTpm;
  tpm: Tpm;
  ak: TpmPublic;
  ek: TpmPublic;
  keys: Awaited<ReturnType<Tpm['keys']>>;
};

describe.skipIf(NO_SWTPM !== undefined)('a TPM of its own', () => {
  const directory = mkdtempSync(join(tmpdir(), 'sealborn-tpm-'));
  const ca = mkdtempSync(join(tmpdir(), 'sealborn-tpm-ca-'));
  let mine: Chip;
  let other: Chip;

  async function start(certified: boolean): Promise<Chip> {
    const chip = await startSwtpm(certified ? certifyBy(ca) : undefined);
    const tpm = openTpm({ tcti: chip.tcti, directory });
    const keys = await tpm.keys();
    const ak = parseTpmPublic(keys.attestationKey, 'attestation key');
    return { chip, tpm, keys, ak, ek: parseTpmPublic(keys.endorsementKey, 'endorsement key') };
  }
  beforeAll(async () => {
    mine = await start(true);
    other = await start(false);
  });
  afterAll(async () => {
    await mine.chip.stop();
    await other.chip.stop();
    for (const path of [directory, ca]) rmSync(path, { recursive: true, force: true });
  });
  beforeEach(() => mine.chip.reset());

  const events: TpmEvent[] = [
    { kind: 'release', at: NOON, release: RELEASE.digest },
    verdictEvent({ ...TRUSTED, state: 'measuring' }, NOON),
    verdictEvent(TRUSTED, NOON),
  ];
  async function extend(log: readonly TpmEvent[] = events): Promise<void> {
    for (const event of log) await mine.tpm.extend(PCR, eventDigest(event));
  }
  async function evidence(from: Chip = mine, nonce = 'n1', log = events): Promise<TpmEvidence> {
    const { message, signature } = await from.tpm.quote(PCR, quoteBinding(nonce, CORE));
    const { attestationKey } = from.keys;
    return { attestationKey, quote: message, signature, pcr: PCR, events: [...log] };
  }
  const problems = (given: TpmEvidence, change: Partial<EvidenceContext> = {}): string[] =>
    checkEvidence({
      evidence: given,
      core: CORE,
      nonce: 'n1',
      fresh: true,
      release: RELEASE.digest,
      verdict: TRUSTED,
      enrolledName: mine.ak.name,
      resetCount: undefined,
      isRegistered: (release) => release === RELEASE.digest,
      ...change,
    }).problems;

  it('replayLog gives the value that the TPM comes to', async () => {
    expect(await mine.tpm.read(PCR)).toBe('0'.repeat(64));
    await extend();
    expect(await mine.tpm.read(PCR)).toBe(replayLog(events));
  });

  it('checkEvidence finds nothing wrong with a quote of the enrolled key over this report and its events', async () => {
    await extend();
    expect(problems(await evidence())).toEqual([]);
  });

  it('checkEvidence finds a wrong nonce, a replayed quote, and a quote for another report', async () => {
    await extend();
    const good = await evidence();
    expect(problems(good, { nonce: 'n2' })).toEqual(['other-report']);
    expect(problems(good, { nonce: 'n1', fresh: false })).toEqual(['not-fresh']);
    expect(problems(good, { nonce: null })).toEqual(['not-fresh', 'other-report']);
    expect(problems(good, { core: sha256('another report') })).toEqual(['other-report']);
  });

  it('checkEvidence finds the key of another TPM, enrolled or not', async () => {
    await extend();
    for (const event of events) await other.tpm.extend(PCR, eventDigest(event));
    expect(problems(await evidence(other))).toEqual(['other-key']);
    const borrowed = { ...(await evidence(other)), attestationKey: mine.keys.attestationKey };
    expect(problems(borrowed)).toEqual(['quote-invalid']);
    expect(problems(await evidence(), { enrolledName: undefined })).toEqual(['other-key']);
  });

  it('checkEvidence finds an event that was changed, added, left out or moved', async () => {
    await extend();
    const good = await evidence();
    const [release, measuring, trusted] = events as [TpmEvent, TpmEvent, TpmEvent];
    const changed = [
      [release, measuring, { ...trusted, at: '2026-11-23T13:00:00.000Z' }],
      [release, measuring, trusted, trusted],
      [release, trusted],
      [measuring, release, trusted],
      [],
    ];
    for (const log of changed) expect(problems({ ...good, events: log })).toContain('events-mismatch');
  });

  it("checkEvidence finds drift that a report hides, and a verdict or release that is not the TPM's", async () => {
    const drifted = [...events, verdictEvent(DRIFTED, NOON)];
    await extend(drifted);
    const told = await evidence(mine, 'n1', drifted);
    expect(problems(told, { verdict: DRIFTED })).toEqual([]);
    expect(problems(told)).toEqual(['other-verdict', 'drift-before']);
    const again = [...drifted, verdictEvent(TRUSTED, NOON)];
    await extend(again.slice(-1));
    expect(problems(await evidence(mine, 'n1', again))).toEqual(['drift-before']);
    expect(problems(told, { verdict: { ...DRIFTED, drift: [] } })).toEqual([]);
    const [finding] = DRIFTED.drift;
    const renamed = { ...DRIFTED, drift: [{ ...finding, path: '/usr/bin/other' }] } as typeof DRIFTED;
    expect(problems(told, { verdict: renamed })).toEqual(['other-verdict']);
    expect(problems(told, { verdict: DRIFTED, release: sha256('other') })).toContain('other-release');
    expect(problems(told, { verdict: DRIFTED, isRegistered: () => false })).toEqual(['release-unregistered']);
  });

  it('checkEvidence finds a TPM that was reset: its PCR is empty, or filled anew under another reset count', async () => {
    await extend();
    const { quote, signature } = await evidence();
    const before = verifyQuote(quote, signature, mine.ak).resetCount;
    mine.chip.reset();
    expect(problems(await evidence(), { resetCount: before })).toEqual(['events-mismatch', 'tpm-reset']);
    await extend();
    expect(problems(await evidence(), { resetCount: before })).toEqual(['tpm-reset']);
  });

  it('verifyQuote takes no quote with one byte changed', async () => {
    const { quote, signature } = await evidence();
    for (let at = 0; at < quote.length; at += 1) {
      const changed = Buffer.from(quote);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => verifyQuote(changed, signature, mine.ak)).toThrow(AttestationError);
    }
  });

  it('makeCredential makes what this TPM alone opens, and only for the key that is named', async () => {
    const secret = randomBytes(32);
    const credential = makeCredential(mine.ek, mine.ak.name, { secret, seed: randomBytes(32) });
    expect((await mine.tpm.activate(credential)).equals(secret)).toBe(true);
    await expect(other.tpm.activate(credential)).rejects.toMatchObject({ code: 'tpm-failed' });
    const forOther = makeCredential(mine.ek, other.ak.name, { secret, seed: randomBytes(32) });
    await expect(mine.tpm.activate(forOther)).rejects.toMatchObject({ code: 'tpm-failed' });
  });

  it('keys gives the same keys each time, also after a reset; each is fit for its own use alone', async () => {
    const again = await mine.tpm.keys();
    expect(again.attestationKey.equals(mine.keys.attestationKey)).toBe(true);
    expect(again.endorsementKey.equals(mine.keys.endorsementKey)).toBe(true);
    requireAttestationKey(mine.ak, 'key');
    requireEndorsementKey(mine.ek, 'key');
    expect(() => requireAttestationKey(mine.ek, 'key')).toThrow('not a restricted signing key');
    expect(() => requireEndorsementKey(mine.ak, 'key')).toThrow('not a restricted decryption key');
  });

  it("endorsementProblem finds nothing where the maker's certificates lead to a trusted root", async () => {
    const pem = ['swtpm-localca-rootca-cert.pem', 'issuercert.pem'].map((name) =>
      readFileSync(join(ca, name), 'latin1'),
    );
    const roots = parseEndorsementRoots(pem.join('\n'), 'roots');
    const certificate = await mine.tpm.endorsementCertificate();
    const now = new Date();
    expect(endorsementProblem(certificate, mine.ek, roots, now)).toBeUndefined();
    expect(endorsementProblem(certificate, other.ek, roots, now)).toContain('another key');
    expect(endorsementProblem(certificate, mine.ek, [], now)).toContain('no certificate');
    expect(endorsementProblem(undefined, mine.ek, roots, now)).toContain('no endorsement certificate');
    expect(endorsementProblem(certificate, mine.ek, roots, new Date('2000-01-01'))).toContain('not valid');
    const [, issuer] = pem;
    const noRoot = parseEndorsementRoots(issuer ?? '', 'roots');
    expect(endorsementProblem(certificate, mine.ek, noRoot, now)).toContain('no trusted certificate');
    expect(await other.tpm.endorsementCertificate()).toBeUndefined();
  });

  it('verifyEnrolment takes what signEnrolment wrote, and nothing with keys in the wrong places', () => {
    const key = newKey();
    const enrolment = verifyEnrolment(signEnrolment(mine.keys, key));
    expect(enrolment).toMatchObject({ host: key.publicKey.id, certificate: undefined });
    expect(enrolment.attestation.name.equals(mine.ak.name)).toBe(true);
    const { attestationKey, endorsementKey } = mine.keys;
    const swapped = { attestationKey: endorsementKey, endorsementKey: attestationKey };
    expect(() => verifyEnrolment(signEnrolment(swapped, key))).toThrow('not a restricted signing key');
  });

  it('parseTpmPublic and verifyQuote answer any bytes with an AttestationError', async () => {
    const { quote, signature } = await evidence();
    const mangled = (whole: Buffer): fc.Arbitrary<Buffer> =>
      fc
        .tuple(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }))
        .map(([at, bytes]) => Buffer.concat([whole.subarray(0, at), bytes]));
    fc.assert(
      fc.property(mangled(mine.keys.attestationKey), mangled(signature), (key, bytes) => {
        for (const run of [() => parseTpmPublic(key, 'key'), () => verifyQuote(quote, bytes, mine.ak)]) {
          try {
            run();
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(AttestationError);
          }
        }
      }),
    );
  });
});

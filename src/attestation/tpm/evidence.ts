import { type Sha256, sha256 } from '../../base/digest.ts';
import { BaseError } from '../../base/errors.ts';
import { base64 } from '../../base/bytes.ts';
import { type Reader, mapped, record, text, whole } from '../../base/shape.ts';
import { AttestationError } from '../attestation-error.ts';
import { MAX_DRIFT_SHOWN, type Verdict } from '../verdict.ts';
import { type TpmEvent, eventLogShape, replayLog, verdictEvent } from './event-log.ts';
import { type TpmPublic, parseTpmPublic, requireAttestationKey } from './tpm-public.ts';
import { type TpmQuote, verifyQuote } from './tpm-quote.ts';

/** What a report carries of the TPM: docs/formats.md "Report". */
export type TpmEvidence = {
  /** TPM2B_PUBLIC of the attestation key. */
  attestationKey: Buffer;
  /** TPMS_ATTEST and TPMT_SIGNATURE. */
  quote: Buffer;
  signature: Buffer;
  pcr: number;
  events: TpmEvent[];
};

/** Bytes of any one structure at most; a quote is some 150, a public area some 320. */
const MAX_STRUCTURE_CHARACTERS = 8192;

const structure: Reader<Buffer> = mapped(text({ max: MAX_STRUCTURE_CHARACTERS }), (value) => base64(value));

/** Reads the evidence of a report. */
export const evidenceShape: Reader<TpmEvidence> = record(
  {
    attestationKey: structure,
    quote: structure,
    signature: structure,
    pcr: whole(0, 23),
    events: eventLogShape,
  },
  { open: true },
);

/** The evidence as it stands in a report's JSON. */
export function formatEvidence({ attestationKey, quote, signature, pcr, events }: TpmEvidence): object {
  return {
    attestationKey: attestationKey.toString('base64'),
    quote: quote.toString('base64'),
    signature: signature.toString('base64'),
    pcr,
    events,
  };
}

/**
 * What a quote's `extraData` must be: it binds the quote to one report, and by the collector's nonce to a time.
 * @param core the digest of the report without its evidence
 */
export function quoteBinding(nonce: string, core: Sha256): Buffer {
  return Buffer.from(sha256(`sealborn-quote-v1\0${nonce}\0${core}`), 'hex');
}

/** Why evidence is not taken. Stable: shown on the collector's pages and in its API. */
export type EvidenceProblem =
  /** The report was not made after the collector's last answer, so that the quote may be an old one. */
  | 'not-fresh'
  /** The quote is not by the key that was enrolled for this host. */
  | 'other-key'
  /** The quote is malformed, or not signed by its key. */
  | 'quote-invalid'
  /** The quote is not over this report and the nonce that the host was given. */
  | 'other-report'
  /** The quote is over another PCR than the evidence names. */
  | 'other-pcr'
  /** The events do not give the value that the TPM holds: one is missing, added or changed. */
  | 'events-mismatch'
  /** The events name no release, or another one than the report. */
  | 'other-release'
  /** The last verdict among the events is not the report's. */
  | 'other-verdict'
  /** The events tell of drift or a refusal, and the report says that all is well. */
  | 'drift-before'
  /** The TPM was reset while the machine ran on, so that its events could be made anew. */
  | 'tpm-reset'
  /** Nobody registered the release here. */
  | 'release-unregistered';

/** What a report's evidence is held against. */
export type EvidenceContext = {
  evidence: TpmEvidence;
  /** Digest of the report without its evidence. */
  core: Sha256;
  nonce: string | null;
  /** Whether the nonce is the one that was given last, recently. */
  fresh: boolean;
  release: Sha256 | undefined;
  verdict: Verdict;
  /** Name of the key that was enrolled for the host; undefined where there is none. */
  enrolledName: Buffer | undefined;
  /** The TPM's reset count in earlier reports of this boot; undefined in its first. */
  resetCount: number | undefined;
  isRegistered: (release: Sha256) => boolean;
};

/** What came of it: without problems, the state of the machine is vouched for by its TPM. */
export type EvidenceOutcome = { problems: EvidenceProblem[]; quote: TpmQuote | undefined };

/**
 * Holds a report's evidence against the report, the enrolled key, the registered releases and what is known of
 * this boot. All problems are named, not the first alone; with one, the report counts as without evidence.
 */
export function checkEvidence(context: EvidenceContext): EvidenceOutcome {
  const { evidence, fresh, nonce, core, enrolledName } = context;
  const problems: EvidenceProblem[] = [];
  if (!fresh || nonce === null) problems.push('not-fresh');
  let quote: TpmQuote;
  try {
    const key = parseTpmPublic(evidence.attestationKey, 'attestation key');
    requireAttestationKey(key, 'attestation key');
    if (!isKey(key, enrolledName)) problems.push('other-key');
    quote = verifyQuote(evidence.quote, evidence.signature, key);
  } catch (thrown) {
    if (!(thrown instanceof AttestationError) && !(thrown instanceof BaseError)) throw thrown;
    return { problems: [...problems, 'quote-invalid'], quote: undefined };
  }
  if (nonce === null || !quote.extraData.equals(quoteBinding(nonce, core))) problems.push('other-report');
  if (quote.pcr !== evidence.pcr) problems.push('other-pcr');
  const value = Buffer.from(replayLog(evidence.events), 'hex');
  if (!quote.pcrDigest.equals(Buffer.from(sha256(value), 'hex'))) problems.push('events-mismatch');
  problems.push(...checkEvents(context));
  if (context.resetCount !== undefined && context.resetCount !== quote.resetCount) problems.push('tpm-reset');
  return { problems, quote };
}

function isKey({ name }: TpmPublic, enrolled: Buffer | undefined): boolean {
  return enrolled !== undefined && enrolled.equals(name);
}

function checkEvents({ evidence, release, verdict, isRegistered }: EvidenceContext): EvidenceProblem[] {
  const { events } = evidence;
  const problems: EvidenceProblem[] = [];
  const named = new Set(events.flatMap((event) => (event.kind === 'release' ? [event.release] : [])));
  if (release === undefined || named.size !== 1 || !named.has(release)) problems.push('other-release');
  if (release !== undefined && !isRegistered(release)) problems.push('release-unregistered');
  const verdicts = events.flatMap((event) => (event.kind === 'verdict' ? [event] : []));
  const last = verdicts.at(-1);
  if (last === undefined || !isEventOf(last, verdict)) problems.push('other-verdict');
  const wasBad = verdicts.some(({ state }) => state === 'drifted' || state === 'refused');
  if (wasBad && verdict.state !== 'drifted' && verdict.state !== 'refused') problems.push('drift-before');
  return problems;
}

function isEventOf(event: TpmEvent & { kind: 'verdict' }, verdict: Verdict): boolean {
  const said = verdictEvent(verdict, event.at);
  // A report leaves findings out where they would make it too large; what it shows then has another digest.
  const isWhole = verdict.drift.length === Math.min(verdict.driftTotal, MAX_DRIFT_SHOWN);
  return (
    event.state === said.state &&
    event.driftTotal === said.driftTotal &&
    event.reason === said.reason &&
    (event.drift === said.drift || !isWhole)
  );
}

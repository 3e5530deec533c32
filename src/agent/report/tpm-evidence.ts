import { setTimeout as sleep } from 'node:timers/promises';

import { reportCore } from '../../attestation/report.ts';
import { type TpmEvent, replayLog, verdictEvent } from '../../attestation/tpm/event-log.ts';
import { type TpmEvidence, quoteBinding } from '../../attestation/tpm/evidence.ts';
import { parseTpmPublic } from '../../attestation/tpm/tpm-public.ts';
import { verifyQuote } from '../../attestation/tpm/tpm-quote.ts';
import type { Verdict } from '../../attestation/verdict.ts';
import { sha256 } from '../../base/digest.ts';
import type { Tpm } from '../../host/tpm.ts';
import { readTpmLog } from '../measure/tpm-log.ts';

export type EvidenceOptions = { tpm: Tpm; pcr: number; runDirectory: string; bootId: string };

/** How long a report waits for its verdict to be extended, and how often it is looked for meanwhile. */
const PATIENCE_MS = 5000;
const LOOK_MS = 50;

/**
 * Has the TPM vouch for a report: a quote bound to the report and the collector's nonce, with the log that gives
 * the quoted PCR. The measuring half publishes a verdict first and extends it then, some 20 ms later; so this looks
 * until log and quote tell of the verdict. Where they never do, it gives what there is: the collector sees why.
 * @param statement what `buildReport` made
 * @throws HostError `tpm-failed`; AttestationError, BaseError where log or quote are damaged
 */
export async function takeEvidence(
  { tpm, pcr, runDirectory, bootId }: EvidenceOptions,
  statement: Buffer,
  nonce: string,
  verdict: Verdict,
): Promise<TpmEvidence> {
  const { attestationKey } = await tpm.keys();
  const key = parseTpmPublic(attestationKey, 'attestation key');
  const binding = quoteBinding(nonce, reportCore(statement));
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const events = (await readTpmLog(runDirectory, bootId, pcr))?.events ?? [];
    const isLate = performance.now() > until;
    if (tellsOf(events, verdict) || isLate) {
      const { message, signature } = await tpm.quote(pcr, binding);
      const { pcrDigest } = verifyQuote(message, signature, key);
      const isWhole = pcrDigest.toString('hex') === sha256(Buffer.from(replayLog(events), 'hex'));
      if (isWhole || isLate) return { attestationKey, quote: message, signature, pcr, events };
    }
    await sleep(LOOK_MS);
  }
}

/** Whether the verdict was extended, if by now others after it. The first, `starting`, never is. */
function tellsOf(events: readonly TpmEvent[], verdict: Verdict): boolean {
  const wanted = verdictEvent(verdict, '');
  return (
    verdict.state === 'starting' ||
    events.some(
      (event) =>
        event.kind === 'verdict' &&
        event.state === wanted.state &&
        event.driftTotal === wanted.driftTotal &&
        event.drift === wanted.drift,
    )
  );
}

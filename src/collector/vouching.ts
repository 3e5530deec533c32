import type { VerifiedReport } from '../attestation/report.ts';
import { checkEvidence } from '../attestation/tpm/evidence.ts';
import type { Registered } from './registered.ts';
import type { HostRow, TpmKey } from './rows.ts';
import type { Vouching } from './summary.ts';

/**
 * Judges a report's TPM evidence. `hardware` comes out only where everything holds: a fresh quote over this very
 * report by the key that was enrolled, whose TPM has a certificate of a trusted maker, over a PCR that the events
 * give, which tell of a registered release and of this verdict.
 */
export function vouch(
  report: VerifiedReport,
  fresh: boolean,
  host: HostRow | undefined,
  key: TpmKey | undefined,
  registered: Registered,
): Vouching {
  if (report.tpm === undefined) return { assurance: 'software', problems: [], hasEvidence: false };
  const before = host?.summary.bootId === report.bootId ? host.summary.vouching?.resetCount : undefined;
  const { problems, quote } = checkEvidence({
    evidence: report.tpm,
    core: report.core,
    nonce: report.nonce,
    fresh,
    release: report.release?.digest,
    verdict: report.verdict,
    enrolledName: key === undefined ? undefined : Buffer.from(key.name, 'hex'),
    resetCount: before,
    isRegistered: (release) => registered.releases.has(release),
  });
  const all: Vouching['problems'] = [
    ...(key === undefined ? (['not-enrolled'] as const) : []),
    ...(key !== undefined && key.problem !== '' ? (['endorsement-unverified'] as const) : []),
    // Without an enrolment every key is another one; said once.
    ...problems.filter((problem) => key !== undefined || problem !== 'other-key'),
  ];
  // The first count of a boot stays what later ones are held against: a reset is not forgiven by the next report.
  const resetCount = before ?? quote?.resetCount;
  return {
    assurance: all.length === 0 ? 'hardware' : 'software',
    problems: all,
    hasEvidence: true,
    ...(resetCount === undefined ? {} : { resetCount }),
  };
}

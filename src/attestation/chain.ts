import type { Sha256 } from '../base/digest.ts';

/** A report's place in its host's chain. */
export type ChainLink = { seq: number; digest: Sha256 };

/**
 * What a new report is to the reports known of its host:
 *
 * - `first`: nothing was known; `missed` reports went before it (to another collector, or dropped);
 * - `next`: it follows the last one;
 * - `gap`: it comes later than the next; `missed` reports are not known. Accepted, to be flagged;
 * - `duplicate`: these exact bytes are known: an answer was lost and the host asks again;
 * - `fork`: the host signed two histories: another report with a number already used (`seq-reused`), or one
 *   that does not follow the last (`previous-mismatch`). Refused, to be flagged: the key is on two machines,
 *   or the machine's disk was set back;
 * - `stale`: older than what is kept of the host, so that nobody can say which. Refused, not flagged.
 */
export type ChainPlace =
  | { kind: 'first'; missed: number }
  | { kind: 'next' }
  | { kind: 'gap'; missed: number }
  | { kind: 'duplicate' }
  | { kind: 'fork'; reason: 'seq-reused' | 'previous-mismatch' }
  | { kind: 'stale' };

/**
 * Decides what a verified report is to its host's chain (contracts.md "Report": `seq`, `previous`).
 * @param last the report with the highest `seq` accepted of this host; undefined where there is none
 * @param report the new one
 * @param kept the digest of the report accepted under the same `seq`, where it is still kept
 */
export function checkChain(
  last: ChainLink | undefined,
  report: ChainLink & { previous: Sha256 | null },
  kept?: Sha256,
): ChainPlace {
  if (last === undefined) return { kind: 'first', missed: report.seq - 1 };
  if (report.seq <= last.seq) {
    const known = report.seq === last.seq ? last.digest : kept;
    if (known === undefined) return { kind: 'stale' };
    return known === report.digest ? { kind: 'duplicate' } : { kind: 'fork', reason: 'seq-reused' };
  }
  if (report.seq > last.seq + 1) return { kind: 'gap', missed: report.seq - last.seq - 1 };
  return report.previous === last.digest ? { kind: 'next' } : { kind: 'fork', reason: 'previous-mismatch' };
}

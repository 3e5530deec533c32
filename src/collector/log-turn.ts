import type { Report } from '../attestation/statement.ts';
import type { Flag } from './rows.ts';
import type { Summary } from './summary.ts';

/**
 * What is wrong with the decision log that a report names, beside the one that the host named before: a log only
 * grows, so one that has fewer lines, or another line of the same number, is not the log that was there.
 * @param ref tells this flag from the others of the host: the report's digest
 */
export function logTurn(
  before: Pick<Summary, 'decisionLog' | 'bootId'> | undefined,
  { decisionLog: now, bootId, seq }: Pick<Report, 'decisionLog' | 'bootId' | 'seq'>,
  ref: string,
): Flag | undefined {
  const known = before?.decisionLog;
  if (known === undefined || now === undefined || before === undefined) return undefined;
  const where = before.bootId === bootId ? '' : ', after a reboot: is its directory kept?';
  if (now.seq < known.seq) {
    const detail = `the decision log had ${known.seq} lines and now has ${now.seq}${where}`;
    return { kind: 'log', ref, seq, detail };
  }
  if (now.seq === known.seq && now.head !== known.head) {
    const detail = `line ${now.seq} of the decision log is another one than before${where}`;
    return { kind: 'log', ref, seq, detail };
  }
  return undefined;
}

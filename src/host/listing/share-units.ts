import type { BytePath } from '../../base/byte-path.ts';
import type { Finding } from '../../base/finding.ts';
import { type Listed, walkListing } from '../../manifest/mtree/listing.ts';
import type { FindingList } from '../measure/finding-list.ts';
import { type ListedAnswer, type ListedUnit, type PlannedUnit, isBelowAny } from './listing-job.ts';

/** Inspects one unit: see `inspectListed`. */
export type Inspector = (unit: ListedUnit) => Promise<ListedAnswer>;

/** Hands units to inspectors as they get free, and collects what they find. */
export async function shareUnits(
  units: Iterator<PlannedUnit>,
  inspectors: readonly Inspector[],
  list: FindingList,
): Promise<void> {
  const closed = new Set<BytePath>();
  const postponed: { directory: BytePath; findings: Finding[] }[] = [];
  const serve = async (inspect: Inspector): Promise<void> => {
    for (let next = units.next(); next.done !== true; next = units.next()) {
      const { unit, entry } = next.value;
      const { directory } = unit;
      if (isBelowAny(directory, closed)) continue;
      const answer = await inspect(unit);
      list.merge(answer.findings, answer.total);
      if (answer.closed === undefined) continue;
      const { findings, isFirstHand } = answer.closed;
      if (isFirstHand) {
        closed.add(directory);
        for (const found of findings) list.add(directory, withCountBelow(found, entry));
      } else postponed.push({ directory, findings });
    }
  };
  await Promise.all(inspectors.map(serve));
  // Nobody above them was found to be closed: they went while they were looked at.
  for (const { directory, findings } of postponed) {
    if (isBelowAny(directory, closed)) continue;
    closed.add(directory);
    for (const found of findings) list.add(directory, found);
  }
}

/** A missing directory's finding stands for all that is listed below it. */
function withCountBelow(found: Finding, entry: Listed): Finding {
  if (found.kind !== 'missing') return found;
  let below = -1;
  for (const _ of walkListing({ root: entry })) below += 1;
  return below === 0 ? found : { ...found, expected: `${found.expected} and ${below} below it` };
}

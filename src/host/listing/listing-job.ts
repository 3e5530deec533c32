import { type BytePath, isWithin, parentPath } from '../../base/byte-path.ts';
import type { Finding } from '../../base/finding.ts';
import type { Accounts } from '../../manifest/mtree/compare-stated.ts';
import { withoutUnavailable } from '../../manifest/mtree/coverage.ts';
import {
  type DigestName,
  type Listed,
  type Listing,
  type Stated,
  listedPath,
  walkListing,
} from '../../manifest/mtree/listing.ts';
import type { PlacedFinding } from '../measure/finding-list.ts';

/** Entries, and bytes that are stated as their sizes, after which a directory's next unit begins. */
const UNIT_ENTRIES = 256;
const UNIT_BYTES = 64_000_000;

/** What every thread of a check by a foreign manifest knows. */
export type ListingJob = {
  /** Descriptor of the tree's root, which all threads share. */
  root: number;
  /** The time that findings carry: RFC 3339. */
  at: string;
  accounts: Accounts;
  /** For each thread: files read, bytes read. Shared memory. */
  counters: Float64Array;
};

/** A stretch of one directory: what one thread takes at a time. */
export type ListedUnit = {
  directory: BytePath;
  /** There in the first unit of a directory, which checks it and what names stand in it. */
  own: ListedDirectory | undefined;
  /** Entries in it that the manifest does not know as directories. */
  entries: { name: string; stated: Stated }[];
};

/** A unit and the directory's place in the listing. */
export type PlannedUnit = { unit: ListedUnit; entry: Listed };

export type ListedDirectory = {
  stated: Stated;
  /** Names that may stand in it; undefined where others are nobody's concern. */
  names: ReadonlySet<string> | undefined;
};

/** What was found in a unit. */
export type ListedAnswer = {
  findings: PlacedFinding[];
  total: number;
  /** There where the directory can't be entered: nothing in it or below could be looked at. */
  closed: ClosedDirectory | undefined;
};

/** What there is to say about a directory that can't be entered. */
export type ClosedDirectory = {
  findings: Finding[];
  /** Whether it was looked at itself; else the fault may be that of one above, which says so itself. */
  isFirstHand: boolean;
};

/** The units of a listing in its order. What lies below a directory with `ignore` is left out. */
export function* listedUnits(listing: Listing, available: ReadonlySet<DigestName>): Generator<PlannedUnit> {
  let ignored: BytePath | undefined;
  for (const entry of walkListing(listing)) {
    if (!isDirectory(entry)) continue;
    const path = listedPath(entry);
    if (ignored !== undefined && isWithin(path, ignored)) continue;
    if (entry.stated?.ignore === true) ignored = path;
    for (const unit of unitsOf(entry, path, available)) yield { unit, entry };
  }
}

/** Whether the manifest knows it as a directory. */
function isDirectory({ parent, stated, children }: Listed): boolean {
  return parent === undefined || children !== undefined || stated?.type === 'dir';
}

function* unitsOf(entry: Listed, path: BytePath, available: ReadonlySet<DigestName>): Generator<ListedUnit> {
  const { stated, children } = entry;
  const open = stated === undefined || stated.ignore === true;
  const own = {
    stated: stated ?? { type: 'dir' as const },
    names: open ? undefined : new Set(children?.keys()),
  };
  let unit: ListedUnit = { directory: path, own, entries: [] };
  let bytes = 0;
  for (const child of stated?.ignore === true ? [] : (children?.values() ?? [])) {
    if (isDirectory(child)) continue;
    unit.entries.push({ name: child.name, stated: withoutUnavailable(child.stated ?? {}, available) });
    bytes += child.stated?.size ?? 0;
    if (unit.entries.length < UNIT_ENTRIES && bytes < UNIT_BYTES) continue;
    yield unit;
    unit = { directory: path, own: undefined, entries: [] };
    bytes = 0;
  }
  if (unit.own !== undefined || unit.entries.length > 0) yield unit;
}

/** Whether `path` or a directory above it is among `closed`. */
export function isBelowAny(path: BytePath, closed: ReadonlySet<BytePath>): boolean {
  if (closed.size === 0) return false;
  for (let at = path; ; at = parentPath(at)) {
    if (closed.has(at)) return true;
    if (at === '') return false;
  }
}

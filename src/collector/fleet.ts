import { STATES, type State } from '../attestation/verdict.ts';
import type { ReleaseId } from '../base/release-id.ts';
import type { HostRow } from './rows.ts';
import { type CollectorSettings, GONE_SECONDS } from './settings.ts';

/**
 * What on-call sees a host as: the state it reports, unless something speaks against believing that:
 *
 * - `forked`: two histories were signed with its key, so what it says can't be taken for its own;
 * - `silent`: not heard for three intervals;
 * - `gone`: not heard for a day: replaced, most likely.
 */
export type FleetState = State | 'forked' | 'silent' | 'gone';

/** Worst first: the order of lists. */
export const FLEET_STATES: readonly FleetState[] = [
  'refused',
  'drifted',
  'forked',
  'silent',
  'measuring',
  'starting',
  'trusted',
  'gone',
];

/** States that somebody must look into. */
export const TROUBLE: ReadonlySet<FleetState> = new Set(['refused', 'drifted', 'forked', 'silent']);

/** A host as shown. */
export type HostView = HostRow & {
  state: FleetState;
  /** What its last report said. */
  reported: State;
  /** When it came to be in `state`: milliseconds, as well as the collector can tell. */
  since: number;
  /** The name to show: what the host calls itself, else the start of its id. */
  name: string;
};

export type ReleaseView = { release: ReleaseId | undefined; counts: Map<FleetState, number>; total: number };

/** The whole fleet at one moment. */
export type FleetView = {
  now: number;
  /** Worst first, then the longest in their state, then by name. */
  hosts: HostView[];
  counts: Map<FleetState, number>;
  /** Newest release first; hosts that are gone do not count. */
  releases: ReleaseView[];
};

/** What a host is at `now`. */
export function viewHost(host: HostRow, now: number, settings: CollectorSettings): HostView {
  const reported = host.summary.verdict.state;
  const quiet = now - host.lastSeen;
  const name = host.summary.facts['hostname'] ?? '';
  const view = { ...host, reported, name: name === '' ? shortId(host.id) : name };
  if (quiet > GONE_SECONDS * 1000) return { ...view, state: 'gone', since: host.lastSeen };
  if (host.forkedAt !== undefined) return { ...view, state: 'forked', since: host.forkedAt };
  if (quiet > 3 * settings.intervalSeconds * 1000) return { ...view, state: 'silent', since: host.lastSeen };
  // The host's own word and clock, but never later than the report that said so.
  return {
    ...view,
    state: reported,
    since: Math.min(Date.parse(host.summary.verdict.since), host.lastSeen),
  };
}

/** The start of a host's id, enough to tell hosts apart on a page. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

/** The fleet at `now`. */
export function viewFleet(rows: readonly HostRow[], now: number, settings: CollectorSettings): FleetView {
  const hosts = rows.map((row) => viewHost(row, now, settings));
  const keyed = hosts.map((host) => ({ host, rank: rankOf(host) }));
  keyed.sort(
    (a, b) =>
      a.rank - b.rank ||
      (TROUBLE.has(a.host.state) ? b.host.since - a.host.since : 0) ||
      compareText(a.host.name, b.host.name) ||
      compareText(a.host.id, b.host.id),
  );
  const sorted = keyed.map(({ host }) => host);
  return { now, hosts: sorted, counts: countStates(sorted), releases: groupReleases(sorted) };
}

/** How many hosts are in each state. */
export function countStates(hosts: readonly HostView[]): Map<FleetState, number> {
  const counts = new Map<FleetState, number>(FLEET_STATES.map((state) => [state, 0]));
  for (const { state } of hosts) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

function rankOf({ state, reported }: HostView): number {
  // A host that fell silent after it drifted is worse news than one that only fell silent.
  const wasBad = state === 'silent' && (reported === 'drifted' || reported === 'refused');
  return FLEET_STATES.indexOf(state) * 2 + (wasBad || state !== 'silent' ? 0 : 1);
}

function groupReleases(hosts: readonly HostView[]): ReleaseView[] {
  const groups = new Map<string, { release: ReleaseId | undefined; hosts: HostView[] }>();
  for (const host of hosts) {
    if (host.state === 'gone') continue;
    const { release } = host.summary;
    const key = release?.digest ?? '';
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { release, hosts: [host] });
    else group.hosts.push(host);
  }
  return [...groups.values()]
    .map((group) => ({
      release: group.release,
      counts: countStates(group.hosts),
      total: group.hosts.length,
    }))
    .sort((a, b) => compareReleases(a.release, b.release));
}

function compareReleases(a: ReleaseId | undefined, b: ReleaseId | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  return (
    compareText(a.name, b.name) ||
    compareText(a.environment, b.environment) ||
    b.sequence - a.sequence ||
    compareText(a.digest, b.digest)
  );
}

/** By UTF-16 units: an order that no machine's locale changes. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether a word names a state of a host. */
export function isFleetState(word: unknown): word is FleetState {
  return FLEET_STATES.includes(word as FleetState);
}

/** The states that a host itself may report. */
export function isReportedState(state: FleetState): state is State {
  return (STATES as readonly string[]).includes(state);
}

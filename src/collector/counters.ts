import { FLEET_STATES, type FleetState } from './fleet.ts';

/** What happened since the collector started. In memory alone: a restart begins at zero, as counters may. */
export type Counters = {
  accepted: number;
  duplicates: number;
  /** Refused reports by code, with the time of the last. */
  refused: Map<string, { count: number; lastAt: number }>;
  databaseErrors: number;
  /** Reports that are being read or judged now. */
  inFlight: number;
};

export function createCounters(): Counters {
  return { accepted: 0, duplicates: 0, refused: new Map(), databaseErrors: 0, inFlight: 0 };
}

/** Counts a refused report. `code` is one of the program's own codes, so that the map stays small. */
export function countRefused(counters: Counters, code: string, at: Date): void {
  const before = counters.refused.get(code);
  counters.refused.set(code, { count: (before?.count ?? 0) + 1, lastAt: at.getTime() });
}

/** The counters and the fleet's states in Prometheus' text format, version 0.0.4. */
export function formatMetrics(counters: Counters, states: ReadonlyMap<FleetState, number>): string {
  const lines: string[] = [];
  const metric = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    samples: [string, number][],
  ): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of samples) lines.push(`${name}${labels} ${value}`);
  };
  metric(
    'sealborn_collector_hosts',
    'gauge',
    'Known hosts by state.',
    FLEET_STATES.map((state) => [`{state="${state}"}`, states.get(state) ?? 0]),
  );
  metric('sealborn_collector_reports_total', 'counter', 'Reports acknowledged, new ones and repeated ones.', [
    ['{result="new"}', counters.accepted],
    ['{result="repeated"}', counters.duplicates],
  ]);
  metric(
    'sealborn_collector_refused_total',
    'counter',
    'Reports refused, by code.',
    [...counters.refused].map(([code, { count }]) => [`{code="${code}"}`, count]),
  );
  metric('sealborn_collector_database_errors_total', 'counter', 'Failed uses of the database.', [
    ['', counters.databaseErrors],
  ]);
  metric('sealborn_collector_reports_in_flight', 'gauge', 'Reports being read or judged now.', [
    ['', counters.inFlight],
  ]);
  return `${lines.join('\n')}\n`;
}

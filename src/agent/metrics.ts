import type { DecisionLogStatus } from '../attestation/status.ts';
import { type Coverage, STATES, type Verdict } from '../attestation/verdict.ts';
import { VERSION } from '../base/version.ts';

/** Why a decision came out as it did: the words of contracts.md. */
export const DECISION_REASONS = [
  'permit',
  'forbid',
  'no-permit',
  'error',
  'not-trusted',
  'not-logged',
] as const;
export type DecisionReason = (typeof DECISION_REASONS)[number];

/** What became of reports, as counted since this process started. */
export type ReportCounts = {
  sent: number;
  /** Attempts that failed; the report waits and is sent again. */
  failed: number;
  /** Refused by the collector and set aside. */
  refused: number;
  /** Dropped because the spool was full, ever. */
  dropped: number;
  /** Waiting now. */
  spooled: number;
};

/** What became of a line on decide.ndjson.sock. */
export type LineResult = 'answered' | 'refused';

export type Metrics = {
  countDecision: (reason: DecisionReason, seconds: number) => void;
  countRequest: (status: number) => void;
  countLine: (result: LineResult) => void;
  /** All metrics in Prometheus' text format 0.0.4. */
  format: (now: {
    verdict: Verdict;
    decisionLog: DecisionLogStatus;
    silenceMs: number | undefined;
    reports: ReportCounts | undefined;
  }) => string;
};

/** Upper bounds of the latency histogram in seconds: a decision takes microseconds. */
const BUCKETS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1,
];

/** The serving half's counters. */
export function createMetrics(startedAt: Date): Metrics {
  const decisions = new Map<DecisionReason, number>(DECISION_REASONS.map((reason) => [reason, 0]));
  const requests = new Map<number, number>();
  const lines: Record<LineResult, number> = { answered: 0, refused: 0 };
  const buckets = BUCKETS.map(() => 0);
  let seconds = 0;
  let count = 0;
  return {
    countDecision: (reason, took) => {
      decisions.set(reason, (decisions.get(reason) ?? 0) + 1);
      let bucket = 0;
      while (took > (BUCKETS[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
      if (bucket < BUCKETS.length) buckets[bucket] = (buckets[bucket] ?? 0) + 1;
      seconds += took;
      count += 1;
    },
    countRequest: (status) => void requests.set(status, (requests.get(status) ?? 0) + 1),
    countLine: (result) => {
      lines[result] += 1;
    },
    format: ({ verdict, decisionLog, silenceMs, reports }) => {
      const page = createPage();
      page.gauge('sealborn_info', 'This program.', [[{ version: VERSION }, 1]]);
      page.gauge(
        'sealborn_process_start_time_seconds',
        'When the serving half started.',
        startedAt.getTime() / 1000,
      );
      formatVerdict(page, verdict);
      if (verdict.coverage !== undefined) formatCoverage(page, verdict.coverage);
      page.gauge(
        'sealborn_heartbeat_age_seconds',
        'Since the measuring half was last heard; +Inf where it is not.',
        silenceMs === undefined ? Number.POSITIVE_INFINITY : silenceMs / 1000,
      );
      page.counter(
        'sealborn_decisions_total',
        'Decisions by reason.',
        [...decisions].map(([reason, value]) => [{ reason }, value]),
      );
      page.histogram('sealborn_decision_seconds', 'Time to decide.', {
        bounds: BUCKETS,
        buckets,
        seconds,
        count,
      });
      page.counter(
        'sealborn_requests_total',
        'Requests on decide.sock by HTTP status.',
        [...requests].map(([status, value]) => [{ status: String(status) }, value]),
      );
      page.counter('sealborn_lines_total', 'Lines on decide.ndjson.sock by what became of them.', [
        [{ result: 'answered' }, lines.answered],
        [{ result: 'refused' }, lines.refused],
      ]);
      formatDecisionLog(page, decisionLog);
      if (reports !== undefined) formatReports(page, reports);
      return page.text();
    },
  };
}

function formatVerdict(page: Page, verdict: Verdict): void {
  const { state, release, measured, driftTotal } = verdict;
  page.gauge(
    'sealborn_state',
    'The state: 1 for the one that stands.',
    STATES.map((name) => [{ state: name }, name === state ? 1 : 0]),
  );
  page.gauge(
    'sealborn_trusted',
    '1 where health is 200 and decisions may be permitted.',
    Number(state === 'trusted'),
  );
  page.gauge('sealborn_drift_findings', 'Differences from the signed release found so far.', driftTotal);
  if (release !== undefined) {
    const { name, version, environment, commit, sequence } = release;
    page.gauge('sealborn_release_info', 'The release that runs.', [
      [{ name, version, environment, commit }, 1],
    ]);
    page.gauge('sealborn_release_sequence', "The release's sequence.", sequence);
  }
  if (measured !== undefined) {
    page.gauge('sealborn_measured_files', 'Files of the last whole measurement.', measured.files);
    page.gauge('sealborn_measured_bytes', 'Bytes read by it.', measured.bytes);
    page.gauge('sealborn_measured_seconds', 'How long it took.', measured.seconds);
  }
}

function formatDecisionLog(page: Page, { head, fault, notLogged }: DecisionLogStatus): void {
  page.gauge(
    'sealborn_decision_log_available',
    '1 where decisions are logged; 0 where they are denied or not logged, as the release says.',
    Number(fault === undefined),
  );
  page.counter(
    'sealborn_decisions_not_logged_total',
    'Decisions that no line was kept of, by what became of them.',
    [
      [{ action: 'blocked' }, notLogged.blocked],
      [{ action: 'dropped' }, notLogged.dropped],
    ],
  );
  page.gauge(
    'sealborn_decision_log_sequence',
    'The number of the last line that is safe from a crash.',
    head?.seq ?? 0,
  );
}

function formatCoverage(page: Page, { fsVerity, watch, sweep, rehash }: Coverage): void {
  if (fsVerity !== undefined) {
    page.gauge(
      'sealborn_fs_verity_files',
      'Files with an fs-verity digest in the release, and those that the kernel vouched for.',
      [
        [{ kind: 'recorded' }, fsVerity.recorded],
        [{ kind: 'vouched' }, fsVerity.vouched],
      ],
    );
  }
  if (rehash !== undefined) {
    page.gauge(
      'sealborn_rehash_progress',
      'How far the reading of everything again is, 0 to 1.',
      rehash.done,
    );
    page.counter('sealborn_rehash_bytes_total', 'Bytes read again, by how.', [
      [{ by: 'direct' }, rehash.direct],
      [{ by: 'dropped' }, rehash.bytes - rehash.direct],
    ]);
    if (rehash.lastFullRehash !== undefined) {
      const ended = Date.parse(rehash.lastFullRehash) / 1000;
      page.gauge('sealborn_rehash_end_time_seconds', 'When the last full pass ended.', ended);
    }
  }
  if (watch !== undefined) {
    page.gauge('sealborn_watches', 'Directories that are watched, and those that should be.', [
      [{ kind: 'held' }, watch.held],
      [{ kind: 'wanted' }, watch.wanted],
    ]);
    page.counter('sealborn_watch_events_total', 'Events of watched directories.', watch.events);
    page.counter(
      'sealborn_watch_overflows_total',
      "Times that the kernel's queue of events was full.",
      watch.overflows,
    );
  }
  if (sweep !== undefined) {
    page.gauge(
      'sealborn_sweep_interval_seconds',
      'From one look at an inode to the next.',
      sweep.everySeconds,
    );
    page.counter('sealborn_sweeps_immediate_total', 'Sweeps of everything at once.', sweep.immediate);
    if (sweep.endedAt !== undefined) {
      const ended = Date.parse(sweep.endedAt) / 1000;
      page.gauge('sealborn_sweep_end_time_seconds', 'When the last sweep ended.', ended);
    }
  }
}

function formatReports(page: Page, reports: ReportCounts): void {
  page.counter('sealborn_reports_total', 'Reports to the collector by what became of them.', [
    [{ result: 'sent' }, reports.sent],
    [{ result: 'failed' }, reports.failed],
    [{ result: 'refused' }, reports.refused],
    [{ result: 'dropped' }, reports.dropped],
  ]);
  page.gauge('sealborn_reports_spooled', 'Reports that wait to be sent.', reports.spooled);
}

type Labels = Readonly<Record<string, string>>;
type Samples = number | readonly (readonly [Labels, number])[];
type Histogram = { bounds: readonly number[]; buckets: readonly number[]; seconds: number; count: number };

type Page = {
  gauge: (name: string, help: string, samples: Samples) => void;
  counter: (name: string, help: string, samples: Samples) => void;
  histogram: (name: string, help: string, histogram: Histogram) => void;
  text: () => string;
};

function createPage(): Page {
  const lines: string[] = [];
  const head = (name: string, help: string, type: string): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  };
  const family =
    (type: string) =>
    (name: string, help: string, samples: Samples): void => {
      head(name, help, type);
      const all = typeof samples === 'number' ? [[{}, samples] as const] : samples;
      for (const [labels, value] of all) lines.push(sample(name, labels, value));
    };
  return {
    gauge: family('gauge'),
    counter: family('counter'),
    histogram: (name, help, { bounds, buckets, seconds, count }) => {
      head(name, help, 'histogram');
      let below = 0;
      bounds.forEach((bound, index) => {
        below += buckets[index] ?? 0;
        lines.push(sample(`${name}_bucket`, { le: String(bound) }, below));
      });
      lines.push(sample(`${name}_bucket`, { le: '+Inf' }, count));
      lines.push(sample(`${name}_sum`, {}, seconds), sample(`${name}_count`, {}, count));
    },
    text: () => `${lines.join('\n')}\n`,
  };
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  const shown = value === Number.POSITIVE_INFINITY ? '+Inf' : String(value);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${shown}`;
}

/** A label's value as the text format escapes it: backslash, double quote, newline. */
function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

import { verifyReport } from '../attestation/report.ts';
import type { FleetView, HostView } from './fleet.ts';
import type { FlagRow, ReportRow } from './rows.ts';
import type { CollectorSettings } from './settings.ts';

/** `GET /v1/hosts`: the fleet, worst first. */
export function fleetJson(fleet: FleetView, settings: CollectorSettings): object {
  return {
    at: iso(fleet.now),
    intervalSeconds: settings.intervalSeconds,
    counts: Object.fromEntries(fleet.counts),
    releases: fleet.releases.map(({ release, counts, total }) => ({
      release: release ?? null,
      total,
      counts: Object.fromEntries(counts),
    })),
    hosts: fleet.hosts.map((host) => hostObject(host)),
  };
}

/** `GET /v1/hosts/<id>`: one host with its whole last verdict, the reports kept and its flags. */
export function hostJson(
  host: HostView,
  reports: readonly ReportRow[],
  flags: readonly FlagRow[],
  body: Buffer | undefined,
): object {
  const report = body === undefined ? undefined : verifyReport(body);
  return {
    ...hostObject(host),
    ...(report === undefined ? {} : { verdict: report.verdict }),
    decisionLog: report?.decisionLog ?? null,
    flags: flags.map(({ firstAt, lastAt, ...flag }) => ({
      ...flag,
      firstAt: iso(firstAt),
      lastAt: iso(lastAt),
    })),
    reports: reports.map(({ receivedAt, ...report }) => ({ ...report, receivedAt: iso(receivedAt) })),
  };
}

function hostObject(host: HostView): object {
  const { summary } = host;
  return {
    id: host.id,
    state: host.state,
    since: iso(host.since),
    reported: host.reported,
    firstSeen: iso(host.firstSeen),
    lastSeen: iso(host.lastSeen),
    fresh: host.fresh,
    seq: host.last.seq,
    lastReport: host.last.digest,
    labels: summary.labels,
    facts: summary.facts,
    bootId: summary.bootId,
    release: summary.release ?? null,
    verdict: summary.verdict,
    dropped: summary.dropped,
    assurance: summary.vouching?.assurance ?? 'software',
    flagged: host.flagged,
    tpmProblems: summary.vouching?.problems ?? [],
  };
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

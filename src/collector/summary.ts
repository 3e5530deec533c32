import type { LogHead } from '../attestation/log-line.ts';
import type { Report, Words } from '../attestation/statement.ts';
import type { EvidenceProblem } from '../attestation/tpm/evidence.ts';
import type { Assurance, Verdict } from '../attestation/verdict.ts';
import type { ReleaseId } from '../base/release-id.ts';

/** How far a report can be believed, as the collector found it; never as the host says. */
export type Vouching = {
  assurance: Assurance;
  /** Why the TPM's evidence was not taken; empty where it was, or where there was none. */
  problems: (EvidenceProblem | 'not-enrolled' | 'endorsement-unverified')[];
  /** What is held against the next report of this boot. */
  resetCount?: number;
  /** Whether the report carried evidence. */
  hasEvidence: boolean;
};

/** What the list of hosts shows of a host's last report. Small, whatever the host sent. */
export type Summary = {
  labels: Words;
  facts: Words;
  bootId: string;
  createdAt: string;
  release?: ReleaseId;
  /** With the first findings alone; `driftTotal` counts all. */
  verdict: Verdict;
  /** Reports that the host says it dropped. */
  dropped: number;
  /** Where the host's decision log stood when it was last named. */
  decisionLog?: LogHead;
  /** How far this report can be believed, as the collector found it. */
  vouching?: Vouching;
};

/** Findings that the list shows of a host; its own page has them all. */
const SHOWN_FINDINGS = 8;
const SHOWN_CHARACTERS = 400;

/** Cuts a report to what the list of hosts shows of it. */
export function summarize(report: Report, vouching?: Vouching): Summary {
  const { verdict } = report;
  const drift = verdict.drift.slice(0, SHOWN_FINDINGS).map((finding) => ({
    path: cut(finding.path),
    kind: finding.kind,
    expected: cut(finding.expected),
    actual: cut(finding.actual),
    at: finding.at,
  }));
  const reason = verdict.reason && { code: verdict.reason.code, message: cut(verdict.reason.message) };
  return {
    labels: report.host.labels,
    facts: report.host.facts,
    bootId: report.bootId,
    createdAt: report.createdAt,
    ...(report.release === undefined ? {} : { release: report.release }),
    verdict: { ...verdict, drift, ...(reason === undefined ? {} : { reason }) },
    dropped: report.spool?.dropped ?? 0,
    ...(report.decisionLog === undefined ? {} : { decisionLog: report.decisionLog }),
    ...(vouching === undefined ? {} : { vouching }),
  };
}

function cut(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS).toWellFormed()}…`;
}

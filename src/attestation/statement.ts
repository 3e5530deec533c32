import type { Sha256 } from '../base/digest.ts';
import { STATEMENT_TYPE } from '../base/in-toto.ts';
import { canonicalJson } from '../base/json.ts';
import type { ReleaseId } from '../base/release-id.ts';
import {
  type Reader,
  dictionary,
  digest,
  list,
  mapped,
  moment,
  oneOf,
  optional,
  record,
  text,
  whole,
} from '../base/shape.ts';
import type { LogHead } from './log-line.ts';
import { type TpmEvidence, evidenceShape } from './tpm/evidence.ts';
import { type Verdict, reportedReleaseShape, reportedVerdictShape } from './verdict.ts';

export const REPORT_PREDICATE_TYPE = 'urn:sealborn:report:v1';

/** Short words by name, such as labels. Objects made here have no prototype: any name is only a name. */
export type Words = { readonly [name: string]: string };

/** Labels, and facts, of one host at most. Few enough that a report without findings always fits its bound. */
export const MAX_WORDS = 32;
const MAX_WORD_NAME = 64;
const MAX_WORD = 256;

/** The host as it describes itself. Only `id` and `publicKey` are proved; names are what the host claims. */
export type ReportHost = {
  /** SHA-256 of the public key's SubjectPublicKeyInfo in DER. */
  id: Sha256;
  /** The key itself, as SPKI PEM. */
  publicKey: string;
  /** What the operator set in agent.yaml. */
  labels: Words;
  /** What the agent found: `hostname`, `os`, `kernel`, `architecture` … */
  facts: Words;
};

/** One report: contracts.md "Report". */
export type Report = {
  host: ReportHost;
  /** The kernel's id of this boot (/proc/sys/kernel/random/boot_id). */
  bootId: string;
  /** Counts the reports of this host, over reboots, from 1. */
  seq: number;
  /** SHA-256 of the exact bytes of the report before; null in the first alone. */
  previous: Sha256 | null;
  /** What the collector's last answer gave; null where there was none yet. */
  nonce: string | null;
  /** By the host's own clock: RFC 3339, UTC. */
  createdAt: string;
  /** What the machine runs; absent until a bundle was verified. The same as in the verdict. */
  release?: ReleaseId;
  verdict: Verdict;
  /** The last line of the decision log that is safe from a crash: its number and its SHA-256. */
  decisionLog?: LogHead;
  /** What the machine's TPM says, where it has one and the agent was told to use it. */
  tpm?: TpmEvidence;
  /** Reports that this host had to drop, ever, because they could not be delivered. */
  spool?: { dropped: number };
};

/**
 * Reads labels or facts: at most `MAX_WORDS` names of at most 64 characters, values of at most 256. For the
 * agent's settings too, so that a label that no report can carry is refused at start.
 */
export const wordsShape: Reader<Words> = mapped(
  dictionary(text({ min: 0, max: MAX_WORD }), { max: MAX_WORDS }),
  (map) => {
    const out = Object.create(null) as { [name: string]: string };
    for (const [name, value] of map) {
      if (name === '' || name.length > MAX_WORD_NAME) {
        throw new Error(`has a name of ${name.length} characters; 1 to ${MAX_WORD_NAME} are read`);
      }
      out[name] = value;
    }
    return out;
  },
);

// A field that is not known is ignored, as in-toto asks of its readers: agents may be newer than the
// collector, and a fleet that goes dark because of one more field is worse than a field not shown. The exact
// bytes are kept, so nothing is lost.
const open = { open: true };

const reportShape: Reader<Report> = record(
  {
    host: record({ id: digest, publicKey: text({ max: 4096 }), labels: wordsShape, facts: wordsShape }, open),
    bootId: text({ max: 64, pattern: /^[A-Za-z0-9-]+$/, is: "the kernel's boot id" }),
    seq: whole(1),
    previous: orNull(digest),
    nonce: orNull(text({ max: 128, pattern: /^[A-Za-z0-9_-]+$/, is: "a collector's nonce" })),
    createdAt: moment,
    release: optional(reportedReleaseShape),
    verdict: reportedVerdictShape,
    decisionLog: optional(record({ head: digest, seq: whole() }, open)),
    tpm: optional(evidenceShape),
    spool: optional(record({ dropped: whole() }, open)),
  },
  open,
);

const consistentReport: Reader<Report> = (value, path, problems) => {
  const before = problems.length;
  const report = reportShape(value, path, problems);
  if (problems.length > before) return report;
  if ((report.seq === 1) !== (report.previous === null)) {
    problems.push({
      path: [...path, 'previous'],
      message: 'must be null in the first report, and only there',
    });
  }
  if (canonicalJson(report.release ?? null) !== canonicalJson(report.verdict.release ?? null)) {
    problems.push({ path: [...path, 'release'], message: "must be the verdict's release" });
  }
  return report;
};

/** Reads the statement of a report. */
export const statementShape: Reader<{
  subject: { name: string; digest: { sha256: Sha256 } }[];
  predicate: Report;
}> = record(
  {
    _type: oneOf(STATEMENT_TYPE),
    subject: list(record({ name: text({ max: 256 }), digest: record({ sha256: digest }, open) }, open), {
      min: 1,
      max: 1,
    }),
    predicateType: oneOf(REPORT_PREDICATE_TYPE),
    predicate: consistentReport,
  },
  open,
);

/** Reads of a statement only what is needed to find its key; nothing read with it is used for more. */
export const claimShape: Reader<{
  predicateType: string;
  predicate: { host: { id: string; publicKey: string } };
}> = record(
  {
    predicateType: text({ max: 256 }),
    predicate: record(
      { host: record({ id: text({ max: 256 }), publicKey: text({ max: 4096 }) }, open) },
      open,
    ),
  },
  open,
);

function orNull<T>(reader: Reader<T>): Reader<T | null> {
  return (value, path, problems) => (value === null ? null : reader(value, path, problems));
}

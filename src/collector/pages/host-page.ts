import type { MountCoverage } from '../../attestation/mount-state.ts';
import { type VerifiedReport, verifyReport } from '../../attestation/report.ts';
import type { Words } from '../../attestation/statement.ts';
import type { ImaState } from '../../attestation/verdict.ts';
import type { HostView } from '../fleet.ts';
import type { FlagRow, ReportRow } from '../rows.ts';
import type { Summary } from '../summary.ts';
import type { Vouching } from '../summary.ts';
import { findingList } from './findings.ts';
import { whyLine } from './fleet-page.ts';
import { frame } from './frame.ts';
import { type Html, html } from './html.ts';
import { stateBadge } from './marks.ts';
import { ago, clock, duration } from './times.ts';
import { count, labelList, releaseLine } from './words.ts';

/** A clock that is this far off is said to be. */
const CLOCK_TOLERANCE = 5 * 60_000;

/** All that is known of one host. */
export function hostPage(
  host: HostView,
  reports: readonly ReportRow[],
  flags: readonly FlagRow[],
  body: Buffer | undefined,
  now: number,
): string {
  const report = body === undefined ? undefined : verifyReport(body);
  const { drift, driftTotal } = report?.verdict ?? host.summary.verdict;
  return frame(
    `${host.name} ${host.state}`,
    now,
    html`<div class="who">
        <h1><bdi>${host.name}</bdi></h1>
        ${stateBadge(host.state)}
        <span class="when"
          >${host.state === 'silent' || host.state === 'gone' ? 'last heard' : 'since'}
          ${ago(host.since, now)}</span
        >
      </div>
      <p class="meta">${labelList(host.summary.labels)}</p>
      ${whyLine(host)}${flagNotes(flags, now)}
      ${
        drift.length > 0 &&
        html`<h2>Findings <span class="n">${driftTotal.toLocaleString('en')}</span></h2>
          <div class="panel">
            ${findingList(drift, now)}
            ${
              driftTotal > drift.length &&
              html`<p class="soft">
                ${count(driftTotal - drift.length, 'more finding')} on the host: <code>sealborn status</code>.
              </p>`
            }
          </div>`
      }
      <h2>Now</h2>
      ${nowPanel(host, report, now)}
      <h2>History</h2>
      ${historyTable(reports, now)} ${identity(host, report)}`,
  );
}

const FLAG_TITLES: { readonly [K in FlagRow['kind']]: string } = {
  fork: 'Fork: refused',
  gap: 'Reports missing',
  key: 'Refused under this name',
  log: 'Decision log went back',
};

function flagNotes(flags: readonly FlagRow[], now: number): Html | false {
  if (flags.length === 0) return false;
  const shown = flags.slice(0, 20);
  return html`<h2>Flags <span class="n">${flags.length}</span></h2>
    <ul class="notes">
      ${shown.map(
        ({ kind, detail, count: n, lastAt }) =>
          html`<li
            class="note ${kind === 'fork' && 'e-forked'} ${(kind === 'key' || kind === 'log') && 'e-drifted'}"
          >
            <b>${FLAG_TITLES[kind]}</b> ${ago(lastAt, now)}${n > 1 && `, ${n} times`}
            <span class="two">${detail}</span>
            ${
              kind === 'key' &&
              html`<span class="two">
                It was not proved to be from this host: anyone who reaches the collector can cause this flag.
              </span>`
            }
          </li>`,
      )}
    </ul>
    ${flags.length > shown.length && html`<p class="soft">${flags.length - shown.length} older ones in the JSON.</p>`}`;
}

function nowPanel(host: HostView, report: VerifiedReport | undefined, now: number): Html {
  const { summary } = host;
  const { measured, state } = summary.verdict;
  const { mounts, fsVerity, ima } = report?.verdict.coverage ?? {};
  const off = Date.parse(summary.createdAt) - host.lastSeen;
  const entries: [string, Html | string | false][] = [
    ['Says', html`${state}, since ${clock(Date.parse(summary.verdict.since), now)}`],
    ['Last heard', ago(host.lastSeen, now)],
    ['Release', releaseLine(summary.release)],
    ['Environment', summary.release?.environment ?? '—'],
    ['Assurance', assuranceLine(summary)],
    [
      'Measured',
      measured === undefined
        ? '—'
        : `${count(measured.files, 'file')}, ${megabytes(measured.bytes)} in ${measured.seconds.toFixed(1)} s`,
    ],
    [
      'fs-verity',
      fsVerity !== undefined &&
        `${fsVerity.vouched.toLocaleString('en')} of ${count(fsVerity.recorded, 'file')} vouched for by the kernel`,
    ],
    ['Mounts', mounts !== undefined && mountList(mounts)],
    ['IMA list', ima !== undefined && imaLine(ima, now)],
    ['Last report', host.fresh ? 'made just now, proved by its nonce' : 'not proved to be recent'],
    ['Reports', `${count(host.last.seq, 'report')}, first heard ${duration(now - host.firstSeen)} ago`],
    ['Dropped by the host', summary.dropped > 0 && count(summary.dropped, 'report')],
    [
      'Clock',
      host.fresh &&
        Math.abs(off) > CLOCK_TOLERANCE &&
        `${duration(Math.abs(off))} ${off > 0 ? 'ahead of' : 'behind'} the collector's`,
    ],
    [
      'Decision log',
      report?.decisionLog !== undefined &&
        html`${count(report.decisionLog.seq, 'line')}, head
          <code>${report.decisionLog.head.slice(0, 16)}</code>`,
    ],
    ...factEntries(summary.facts),
  ];
  return html`<div class="panel">
    <dl class="facts">
      ${entries.map(
        ([name, value]) =>
          value !== false &&
          html`<div>
            <dt>${name}</dt>
            <dd><bdi>${value}</bdi></dd>
          </div>`,
      )}
    </dl>
  </div>`;
}

/** What the collector found of the host's TPM, in words; the host's own word for it counts for nothing. */
function assuranceLine({ vouching }: Summary): Html | string {
  if (vouching === undefined || !vouching.hasEvidence)
    return 'software: the host says so, no TPM vouches for it';
  if (vouching.assurance === 'hardware') return html`<b>hardware</b>: its TPM vouches for this report`;
  const why = vouching.problems.map((problem) => PROBLEM_WORDS[problem]).join('; ');
  return `software: the evidence of its TPM is not taken: ${why}`;
}

const PROBLEM_WORDS: { readonly [K in Vouching['problems'][number]]: string } = {
  'not-enrolled': 'its key is not enrolled',
  'endorsement-unverified': 'no trusted maker certifies it',
  'not-fresh': 'the report is not proved to be recent',
  'other-key': 'another key signed it',
  'quote-invalid': 'the quote is malformed or not signed by its key',
  'other-report': 'the quote is over another report',
  'other-pcr': 'the quote is over another PCR',
  'events-mismatch': 'its events do not give the value of the PCR',
  'other-release': 'its events name another release',
  'other-verdict': 'its events tell of another verdict',
  'drift-before': 'its events tell of drift that the report hides',
  'tpm-reset': 'it was reset while the machine ran on',
  'release-unregistered': 'the release is not registered here',
};

function mountList({ view, total, shown }: MountCoverage): Html {
  return html`${shown.map(
    ({ path, type, options, backing, claimedRootHash }) =>
      html`<span class="two"
        ><code>${path}</code> ${type} ${options.join(',')}:
        ${backing}${claimedRootHash !== undefined && ` (root hash ${claimedRootHash.slice(0, 16)}… claimed)`}</span
      >`,
  )}${total > shown.length && html`<span class="two">and ${total - shown.length} more</span>`}${
    view === 'own' && html`<span class="two">as the agent sees them: it could not read PID 1's table</span>`
  }`;
}

/** The whole digest: it is there to be compared with what `sha256sum` says on the host. */
function imaLine({ at, bytes, digest, whole }: ImaState, now: number): Html {
  return html`${whole ? '' : 'the first '}${count(bytes, 'byte')} at ${clock(Date.parse(at), now)}, sha256
    <code>${digest}</code>`;
}

function factEntries(facts: Words): [string, string][] {
  return Object.entries(facts).filter(([name]) => name !== 'hostname');
}

function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

type Period = { turn: ReportRow; last: ReportRow; reports: number };

/** Reports with which nothing changed are one line with the one that began it: what changed is what matters. */
function periodsOf(reports: readonly ReportRow[]): Period[] {
  const periods: Period[] = [];
  for (const report of reports.toReversed()) {
    const period = periods.at(-1);
    if (period === undefined || report.turn) {
      // Of the period before, reports may have been removed already: its numbers say how many there were.
      if (period !== undefined) period.reports = report.seq - report.missed - period.turn.seq;
      periods.push({ turn: report, last: report, reports: 1 });
    } else {
      period.last = report;
      period.reports = report.seq - period.turn.seq + 1;
    }
  }
  return periods.reverse();
}

function historyTable(reports: readonly ReportRow[], now: number): Html {
  const periods = periodsOf(reports);
  return html`<table>
    <thead>
      <tr>
        <th>Said</th>
        <th>From</th>
        <th>To</th>
        <th>Release</th>
        <th class="num">Findings</th>
        <th>Reports</th>
        <th>Boot</th>
      </tr>
    </thead>
    <tbody>
      ${periods.map(
        ({ turn, last, reports }) =>
          html`<tr>
            <td>${stateBadge(turn.state)}</td>
            <td>${ago(turn.receivedAt, now)}</td>
            <td class="wide">
              ${reports > 1 && html`<span class="soft">to</span> ${clock(last.receivedAt, now)}`}
            </td>
            <td class="wide"><bdi>${turn.release ?? '—'}</bdi></td>
            <td class="num" data-name="Findings:">${turn.driftTotal.toLocaleString('en')}</td>
            <td>
              <a href="/v1/reports/${turn.digest}">${turn.seq}</a
              >${reports > 1 && `–${turn.seq + reports - 1}`}
              ${turn.missed > 0 && html`<span class="two">${turn.missed} before it missing</span>`}
              ${!turn.fresh && html`<span class="two">not proved recent</span>`}
            </td>
            <td class="wide" data-name="Boot:"><code class="soft">${turn.bootId.slice(0, 8)}</code></td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function identity(host: HostView, report: VerifiedReport | undefined): Html {
  return html`<details id="identity">
    <summary>Identity and evidence</summary>
    <p>
      This host is its key: the SHA-256 of its public key. Name, labels and facts are what it says of itself.
    </p>
    <p><code>${host.id}</code></p>
    ${
      report !== undefined &&
      html`<pre>
${report.host.publicKey
  .trim()
  .split('\n')
  .map((line) => html`${line}<br />`)}</pre>
        <p>
          Last report <a href="/v1/reports/${report.digest}"><code>${report.digest}</code></a
          >, boot <code>${report.bootId}</code>
        </p>`
    }
  </details>`;
}

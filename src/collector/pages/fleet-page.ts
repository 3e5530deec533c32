import type { Counters } from '../counters.ts';
import {
  type FleetState,
  type FleetView,
  type HostView,
  type ReleaseView,
  TROUBLE,
  shortId,
} from '../fleet.ts';
import type { CollectorSettings } from '../settings.ts';
import { emptyFleet } from './empty-fleet.ts';
import { findingLines, findingList } from './findings.ts';
import { frame } from './frame.ts';
import { type Html, html } from './html.ts';
import { STATE_WORDS, stateBadge, stateShape } from './marks.ts';
import { ago, duration } from './times.ts';
import { count, flagLine, labelList, releaseLine } from './words.ts';

export type FleetPageOptions = {
  settings: CollectorSettings;
  /** Where the reader reached the collector, such as `http://collector.example:9190`. */
  origin: string;
  refused: Counters['refused'];
  /** Shows only hosts in this state. */
  state: FleetState | undefined;
  /** Shows only hosts whose name, id or labels hold this text. */
  search: string;
  /** Shows only hosts of the release with this digest. */
  release: string | undefined;
};

/** Hosts on one page at most. Worst first, so that what is cut off is what is well. */
const MAX_SHOWN = 500;
const TILES: readonly FleetState[] = ['trusted', 'drifted', 'refused', 'forked', 'silent', 'measuring'];

/** The page on-call opens first: what is wrong, where, since when, what changed; then all the rest. */
export function fleetPage(fleet: FleetView, options: FleetPageOptions): string {
  if (fleet.hosts.length === 0) return emptyFleet(fleet.now, options);
  const { now } = fleet;
  const chosen = fleet.hosts.filter((host) => matches(host, options));
  const shown = chosen.slice(0, MAX_SHOWN);
  const trouble = shown.filter(({ state }) => TROUBLE.has(state));
  const well = shown.filter(({ state }) => !TROUBLE.has(state) && state !== 'gone');
  const gone = shown.filter(({ state }) => state === 'gone');
  const title = headline(fleet);
  return frame(
    title,
    now,
    html`<h1>${title}</h1>
      ${strip(fleet, options)}${find(options)}${filterLine(chosen.length, options)}
      ${
        trouble.length > 0 &&
        html`<h2>Needs attention <span class="n">${trouble.length}</span></h2>
          <ul class="trouble">
            ${trouble.map((host) => troubleCard(host, now))}
          </ul>`
      }
      ${
        well.length > 0 &&
        html`<h2>${trouble.length > 0 ? 'All others' : 'Hosts'} <span class="n">${well.length}</span></h2>
          ${hostTable(well, now)}`
      }
      ${
        chosen.length > shown.length &&
        html`<p class="sub">
          ${count(chosen.length - shown.length, 'more host')} not shown here; search, or take the
          <a href="/v1/hosts">JSON</a>.
        </p>`
      }
      ${
        gone.length > 0 &&
        html`<details id="gone">
          <summary>Not heard for over a day: ${count(gone.length, 'host')}</summary>
          ${hostTable(gone, now)}
        </details>`
      }
      <h2>Releases</h2>
      ${releaseTable(fleet.releases)}${refusedNote(options.refused, now)}`,
  );
}

function headline({ hosts, counts }: FleetView): string {
  const trouble = [...TROUBLE].reduce((sum, state) => sum + (counts.get(state) ?? 0), 0);
  const present = hosts.length - (counts.get('gone') ?? 0);
  const trusted = counts.get('trusted') ?? 0;
  if (trouble > 0) return `${count(trouble, 'host')} need${trouble === 1 ? 's' : ''} attention`;
  if (present === 0) return 'No host was heard in the last day';
  if (trusted < present) return `${trusted} of ${count(present, 'host')} trusted, nothing wrong so far`;
  return present === 1 ? 'The one host is trusted' : `All ${count(present, 'host')} are trusted`;
}

function matches(host: HostView, { state, search, release }: FleetPageOptions): boolean {
  if (state !== undefined && host.state !== state) return false;
  if (release !== undefined && (host.summary.release?.digest ?? '') !== release) return false;
  if (search === '') return true;
  const labels = Object.entries(host.summary.labels).map(([name, value]) => `${name}=${value}`);
  const wanted = search.toLowerCase();
  return [host.name, host.id, ...labels].some((text) => text.toLowerCase().includes(wanted));
}

function strip({ counts }: FleetView, options: FleetPageOptions): Html {
  return html`<ul class="strip">
    ${TILES.map((state) => {
      const n = (counts.get(state) ?? 0) + (state === 'measuring' ? (counts.get('starting') ?? 0) : 0);
      const look = n === 0 ? 'zero' : TROUBLE.has(state) ? `hot s-${state} e-${state}` : '';
      const isChosen = options.state === state;
      return html`<li>
        <a class="${look}" href="${isChosen ? '/' : `/?state=${state}`}" ${isChosen && CURRENT}>
          <b>${n.toLocaleString('en')}</b
          ><span class="badge s-${state}">${stateShape(state)}${STATE_WORDS[state]}</span>
        </a>
      </li>`;
    })}
  </ul>`;
}

const CURRENT = html`aria-current="true"`;

function find({ search }: FleetPageOptions): Html {
  return html`<form class="find" action="/" method="get" role="search">
    <input
      type="search"
      name="q"
      value="${search}"
      placeholder="Host name, id or label"
      aria-label="Find hosts by name, id or label"
      maxlength="200"
    />
    <button>Find</button>
  </form>`;
}

function filterLine(chosen: number, { state, search, release }: FleetPageOptions): Html | false {
  if (state === undefined && search === '' && release === undefined) return false;
  const words = [
    state === undefined ? '' : STATE_WORDS[state],
    search === '' ? '' : `with “${search}”`,
    release === undefined ? '' : 'of one release',
  ].filter((word) => word !== '');
  return html`<p class="filter">${count(chosen, 'host')} ${words.join(', ')}. <a href="/">Show all</a></p>`;
}

function troubleCard(host: HostView, now: number): Html {
  const { summary, state } = host;
  const { drift, driftTotal } = summary.verdict;
  const shownLines = 3;
  return html`<li class="e-${state}">
    <div class="who">
      ${stateBadge(state)}
      <a class="name" href="/hosts/${host.id}"><bdi>${host.name}</bdi></a>
      <span class="when">${state === 'silent' ? 'last heard' : 'since'} ${ago(host.since, now)}</span>
    </div>
    <div class="meta">
      ${placeLine(host)}${state !== 'silent' && html`<span>last seen ${duration(now - host.lastSeen)} ago</span>`}
      ${labelList(summary.labels)} ${flagLine(host)}
    </div>
    ${whyLine(host)} ${driftTotal > 0 && findingLines(drift, shownLines)}
    ${
      drift.length > 0 &&
      html`<details id="d-${host.id}">
        <summary>${findingsTitle(drift.length, driftTotal)}</summary>
        ${findingList(drift, now)}
        ${
          driftTotal > drift.length &&
          html`<p><a href="/hosts/${host.id}">${count(driftTotal - drift.length, 'more finding')}</a></p>`
        }
      </details>`
    }
  </li>`;
}

function findingsTitle(shown: number, total: number): string {
  const which = shown < total ? `First ${shown} of ${count(total, 'finding')}` : count(total, 'finding');
  return `${which}: what was signed, what was found`;
}

function placeLine({ id, summary }: HostView): Html {
  const { release } = summary;
  return html`${release !== undefined && html`<span><bdi>${release.environment}</bdi></span>`}
    <span>${releaseLine(release)}</span> <span><code>${shortId(id)}</code></span>
    <span>${summary.verdict.assurance}</span>`;
}

/** One sentence: why this host stands here. */
export function whyLine({ state, reported, summary }: HostView): Html {
  const { driftTotal, reason } = summary.verdict;
  const because = reason === undefined ? '' : `${reason.message} (${reason.code})`;
  const differs = `${count(driftTotal, 'difference')} from the signed release.`;
  switch (state) {
    case 'forked':
      return html`<p class="why">
        Two histories were signed with this host's key: the key is on two machines, or the disk was set back.
        What it says last: <b>${reported}</b>. Replace the machine.
      </p>`;
    case 'silent':
    case 'gone':
      return html`<p class="why">
        Its last word was <b>${reported}</b>${driftTotal > 0 ? `: ${differs}` : '.'}
      </p>`;
    case 'drifted':
      return html`<p class="why">${driftTotal > 0 && differs} ${because}</p>`;
    case 'refused':
      return html`<p class="why">${because === '' ? 'The host gives no reason.' : because}</p>`;
    case 'starting':
    case 'measuring':
    case 'trusted':
      return html``;
  }
}

function hostTable(hosts: readonly HostView[], now: number): Html {
  return html`<table>
    <thead>
      <tr>
        <th>State</th>
        <th>Host</th>
        <th>Release</th>
        <th>Environment</th>
        <th>Assurance</th>
        <th>Last seen</th>
      </tr>
    </thead>
    <tbody>
      ${hosts.map(
        (host) =>
          html`<tr>
            <td>${stateBadge(host.state)}</td>
            <td>
              <a href="/hosts/${host.id}"><bdi>${host.name}</bdi></a>
              <span class="two"
                ><code>${shortId(host.id)}</code> ${labelList(host.summary.labels)} ${flagLine(host)}</span
              >
            </td>
            <td class="wide">${releaseLine(host.summary.release)}</td>
            <td><bdi>${host.summary.release?.environment ?? '—'}</bdi></td>
            <td>${host.summary.verdict.assurance}</td>
            <td class="wide">${ago(host.lastSeen, now)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function releaseTable(releases: readonly ReleaseView[]): Html {
  return html`<table>
    <thead>
      <tr>
        <th>Release</th>
        <th>Environment</th>
        <th class="num">Hosts</th>
        <th>States</th>
      </tr>
    </thead>
    <tbody>
      ${releases.map(
        ({ release, counts, total }) =>
          html`<tr>
            <td>${releaseLine(release)}</td>
            <td><bdi>${release?.environment ?? '—'}</bdi></td>
            <td class="num" data-name="Hosts:">
              <a href="/?release=${release?.digest ?? ''}">${total.toLocaleString('en')}</a>
            </td>
            <td class="wide">
              ${[...counts]
                .filter(([, n]) => n > 0)
                .map(
                  ([state, n]) =>
                    html`<span class="badge s-${state}"
                      >${stateShape(state)}${n} ${STATE_WORDS[state]}</span
                    > `,
                )}
            </td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function refusedNote(refused: Counters['refused'], now: number): Html | false {
  if (refused.size === 0) return false;
  return html`<h2>Reports refused since the collector started</h2>
    <ul class="notes">
      ${[...refused].map(
        ([code, { count: n, lastAt }]) =>
          html`<li class="note"><code>${code}</code> ${count(n, 'time')}, last ${ago(lastAt, now)}</li>`,
      )}
    </ul>`;
}

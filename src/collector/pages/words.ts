import type { ReleaseId } from '../../base/release-id.ts';
import type { Words } from '../../attestation/statement.ts';
import type { HostRow } from '../rows.ts';
import { type Html, html } from './html.ts';

/** `1 host`, `2 hosts`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** A release in one line: what it is, where it belongs, which commit it came from. */
export function releaseLine(release: ReleaseId | undefined): Html {
  if (release === undefined) return html`<span class="soft">no verified release</span>`;
  return html`<span
    ><bdi>${release.name} ${release.version}</bdi>
    <span class="soft">#${release.sequence} · <code>${shortCommit(release.commit)}</code></span></span
  >`;
}

/** The start of a commit's name, as people say it. */
export function shortCommit(commit: string): string {
  return /^[0-9a-f]{40,64}$/.test(commit) ? commit.slice(0, 10) : commit;
}

export function labelList(labels: Words): Html {
  return html`${Object.entries(labels).map(
    ([name, value]) => html`<bdi class="label">${name}=${value}</bdi> `,
  )}`;
}

const FLAG_WORDS: { readonly [K in HostRow['flagged'][number]]: string } = {
  gap: 'reports missing',
  log: 'decision log went back',
};

/** What is flagged of a host that its state does not say, for a list of hosts; its page says more. */
export function flagLine({ id, flagged }: Pick<HostRow, 'id' | 'flagged'>): Html | false {
  if (flagged.length === 0) return false;
  return html`<a class="flag" href="/hosts/${id}">${flagged.map((kind) => FLAG_WORDS[kind]).join(', ')}</a>`;
}

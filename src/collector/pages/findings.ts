import type { Finding } from '../../base/finding.ts';
import { type Html, html } from './html.ts';
import { ago } from './times.ts';

/** The first paths, one line each: enough to see what this is about. */
export function findingLines(findings: readonly Finding[], shown: number): Html {
  return html`<ul class="paths">
    ${findings
      .slice(0, shown)
      .map(
        ({ path, kind }) => html`<li><span class="kind">${kind}</span><bdi class="mono">${path}</bdi></li>`,
      )}
  </ul>`;
}

/** Findings with what was signed and what was found instead. */
export function findingList(findings: readonly Finding[], now: number): Html {
  return html`<ol class="found">
    ${findings.map(
      ({ path, kind, expected, actual, at }) =>
        html`<li>
          <bdi class="mono path">${path}</bdi> <span class="soft">${kind}</span>
          <dl>
            <dt>signed</dt>
            <dd class="mono">${expected === '' ? '—' : expected}</dd>
            <dt>found</dt>
            <dd class="mono">${actual === '' ? '—' : actual}</dd>
            <dt>at</dt>
            <dd>${ago(Date.parse(at), now)}</dd>
          </dl>
        </li>`,
    )}
  </ol>`;
}

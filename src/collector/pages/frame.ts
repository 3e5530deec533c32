import { createHash } from 'node:crypto';

import { VERSION } from '../../base/version.ts';
import { type Html, constantHtml, html } from './html.ts';
import { SCRIPT, UPDATE_SECONDS } from './script.ts';
import { STYLE } from './style.ts';
import { clock } from './times.ts';

/**
 * Headers of every page. The policy allows this very style sheet and this very script, by their hashes, and
 * nothing else: text that a host wrote could not run even if it got past the escaping.
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': [
    "default-src 'none'",
    `style-src ${sourceHash(STYLE)}`,
    `script-src ${sourceHash(SCRIPT)}`,
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** A whole page around its content. `title` comes first in the tab: a glance at the tabs must be enough. */
export function frame(title: string, now: number, content: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · sealborn</title>
        <noscript><meta http-equiv="refresh" content="${UPDATE_SECONDS * 2}" /></noscript>
        ${constantHtml(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <div id="stale" role="alert" hidden></div>
        <header class="top">
          <div>
            <a href="/">sealborn collector</a>
            <span class="asof">as of ${clock(now, now)}</span>
          </div>
        </header>
        <main>${content}</main>
        <footer>
          <p>
            sealborn ${VERSION} · times are UTC · <a href="/v1/hosts">JSON</a> ·
            <a href="/metrics">metrics</a>
          </p>
        </footer>
        ${constantHtml(`<script>${SCRIPT}</script>`)}
      </body>
    </html> `.text;
}

function sourceHash(source: string): string {
  return `'sha256-${createHash('sha256').update(source).digest('base64')}'`;
}

import type { FleetState } from '../fleet.ts';
import { type Html, constantHtml, html } from './html.ts';

/** The word for a state; each has a shape and a colour of its own, so that none of the three is needed alone. */
export const STATE_WORDS: { readonly [S in FleetState]: string } = {
  trusted: 'trusted',
  drifted: 'drifted',
  refused: 'refused',
  forked: 'forked',
  silent: 'silent',
  measuring: 'measuring',
  starting: 'starting',
  gone: 'gone',
};

const SHAPES: { readonly [S in FleetState]: string } = {
  // A disc with a tick.
  trusted:
    '<circle cx="8" cy="8" r="7"/><path class="in" d="M4.6 8.3l2.3 2.3 4.5-4.9" fill="none" stroke-width="1.8"/>',
  // A triangle with an exclamation mark.
  drifted: '<path d="M8 .8 15.6 14.6H.4z"/><path class="in" d="M8 5.6v4.2M8 11.6v1.4" stroke-width="1.8"/>',
  // An octagon with a cross.
  refused:
    '<path d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z"/><path class="in" d="M5.3 5.3l5.4 5.4m0-5.4l-5.4 5.4" stroke-width="1.8"/>',
  // A diamond with a fork.
  forked:
    '<path d="M8 .3 15.7 8 8 15.7.3 8z"/><path class="in" d="M8 12V9L5.4 6M8 9l2.6-3" fill="none" stroke-width="1.7"/>',
  // A ring of dashes, empty.
  silent:
    '<circle cx="8" cy="8" r="6.4" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="3.2 2.5"/>',
  // A disc half full.
  measuring:
    '<circle cx="8" cy="8" r="6.4" fill="none" stroke="currentColor" stroke-width="1.8"/><path d="M8 1.6a6.4 6.4 0 0 1 0 12.8z"/>',
  // A ring.
  starting: '<circle cx="8" cy="8" r="6.4" fill="none" stroke="currentColor" stroke-width="1.8"/>',
  // A bar.
  gone: '<path d="M2 7h12v2H2z"/>',
};

/** The shape of a state, for beside its word. */
export function stateShape(state: FleetState): Html {
  return constantHtml(
    `<svg class="mark" viewBox="0 0 16 16" aria-hidden="true" focusable="false">${SHAPES[state]}</svg>`,
  );
}

/** A state as a badge: shape, word, colour. */
export function stateBadge(state: FleetState): Html {
  return html`<span class="badge s-${state}">${stateShape(state)}${STATE_WORDS[state]}</span>`;
}

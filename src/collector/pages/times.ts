import { type Html, html } from './html.ts';

const UNITS: readonly [name: string, seconds: number][] = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
];

/** How long, in one unit: `5 s`, `12 min`, `3 h`, `4 d`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [name, size] = UNITS.find(([, size]) => seconds >= size) ?? ['s', 1];
  return `${Math.floor(seconds / size)} ${name}`;
}

/** How long ago, and when: `3 min ago`, with the moment in UTC beside it. */
export function ago(at: number, now: number): Html {
  const moment = new Date(at);
  const relative = now - at < 2000 ? 'just now' : `${duration(now - at)} ago`;
  return html`<time datetime="${moment.toISOString()}"
    ><span class="rel">${relative}</span> <span class="abs">${clock(at, now)}</span></time
  >`;
}

/** The moment in UTC; the date only where it is not today's. */
export function clock(at: number, now: number): string {
  const iso = new Date(at).toISOString();
  const time = `${iso.slice(11, 19)} UTC`;
  return iso.slice(0, 10) === new Date(now).toISOString().slice(0, 10) ? time : `${iso.slice(0, 10)} ${time}`;
}

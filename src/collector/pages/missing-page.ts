import { frame } from './frame.ts';
import { html } from './html.ts';

/** The page where there is nothing to show, or nothing can be read. */
export function missingPage(now: Date, message: string): string {
  return frame(
    message,
    now.getTime(),
    html`<h1>${message}</h1>
      <p><a href="/">All hosts</a></p>`,
  );
}

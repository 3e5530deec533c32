import type { CollectorSettings } from '../settings.ts';
import { frame } from './frame.ts';
import { html } from './html.ts';

/** The page before the first report: how to point an agent here. */
export function emptyFleet(now: number, options: { origin: string; settings: CollectorSettings }): string {
  return frame(
    'No host yet',
    now,
    html`<h1>No host has reported yet</h1>
      <p class="sub">This collector listens and is ready. To see a host here:</p>
      <ol class="steps">
        <li>
          Tell the agent where this is, in <code>/etc/sealborn/agent.yaml</code> of the image:
          <pre>
collector:
  url: ${options.origin}</pre>
        </li>
        <li>
          Build and seal the image, boot it, or start the agent by hand:
          <pre>sealborn run</pre>
        </li>
        <li>
          Its first report comes within ${options.settings.intervalSeconds} seconds of its start. This page
          updates itself.
        </li>
      </ol>
      <p class="soft">
        Nothing comes? The agent's log on the host says whether its reports are waiting, and why. A host needs
        no account here: it is known by its own key.
      </p>`,
  );
}

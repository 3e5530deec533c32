import type { Verdict } from '../attestation/verdict.ts';
import { type Handler, createRouter, textAnswer } from './router.ts';

/**
 * What the health port answers, from memory: `/healthz` and `/readyz` are 200 in `trusted` and 503 in every
 * other state, `/livez` says that this process serves, `/metrics` is for Prometheus. The port is open to the
 * network: it says the state's name and numbers, no path and no reason, and never redirects.
 */
export function createHealthApp(options: { verdict: () => Verdict; metrics: () => string }): Handler {
  const health: Handler = () => {
    const { state } = options.verdict();
    return textAnswer(state === 'trusted' ? 200 : 503, state);
  };
  return createRouter({
    '/healthz': { GET: health },
    '/readyz': { GET: health },
    '/livez': { GET: () => textAnswer(200, 'alive') },
    '/metrics': {
      GET: () => ({
        status: 200,
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
        body: options.metrics(),
      }),
    },
  });
}

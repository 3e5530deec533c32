import type { DecisionLogStatus } from '../attestation/status.ts';
import type { Verdict } from '../attestation/verdict.ts';
import { type Handler, createRouter, textAnswer } from './router.ts';

export type HealthOptions = {
  verdict: () => Verdict;
  decisionLog: () => DecisionLogStatus;
  metrics: () => string;
};

/**
 * What the health port answers, from memory: `/healthz` and `/readyz` are 200 in `trusted` and 503 in every
 * other state, and while every decision is a deny because it can't be logged; `/livez` says that this process
 * serves, `/metrics` is for Prometheus. The port is open to the network: it says the state's name and numbers,
 * no path and no reason, and never redirects.
 */
export function createHealthApp(options: HealthOptions): Handler {
  const health: Handler = () => {
    const { state } = options.verdict();
    const { fault, whenFull, notLogged } = options.decisionLog();
    const denies = fault !== undefined && whenFull === 'block';
    const lost = notLogged.blocked + notLogged.dropped;
    const words =
      fault === undefined && lost === 0
        ? ''
        : `\ndecision log: ${fault === undefined ? 'written' : 'not written'}, ${lost} decisions not logged`;
    return textAnswer(state === 'trusted' && !denies ? 200 : 503, `${state}${words}`);
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

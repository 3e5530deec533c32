import { Hono } from 'hono';

import { MAX_ENROLMENT_BYTES } from '../attestation/tpm/enrolment.ts';
import { MAX_REPORT_BYTES } from '../attestation/report.ts';
import { type Sha256, isSha256 } from '../base/digest.ts';
import { CodedError, messageOf } from '../base/errors.ts';
import type { Log } from '../host/log/log.ts';
import { errorAnswer, jsonAnswer, statusOf } from './answers.ts';
import { CollectorError } from './collector-error.ts';
import { type Counters, countRefused, createCounters, formatMetrics } from './counters.ts';
import { MAX_SECRET_BYTES, createEnroller } from './enrol.ts';
import { countStates, isFleetState, viewFleet, viewHost } from './fleet.ts';
import { fleetJson, hostJson } from './fleet-json.ts';
import { ingestReport } from './ingest.ts';
import { fleetPage } from './pages/fleet-page.ts';
import { PAGE_HEADERS } from './pages/frame.ts';
import { hostPage } from './pages/host-page.ts';
import { missingPage } from './pages/missing-page.ts';
import { readBody } from './read-body.ts';
import type { Registered } from './registered.ts';
import type { CollectorSettings } from './settings.ts';
import type { Store } from './store.ts';

/** What the collector works with. Nothing else is reached for: no clock, no disk, no port. */
export type AppDependencies = {
  store: Store;
  settings: CollectorSettings;
  registered: Registered;
  log: Log;
  now: () => Date;
  makeNonce: () => string;
  /** Bytes fit for keys. */
  randomBytes: (length: number) => Buffer;
};

/** Reports read at one time; times `MAX_REPORT_BYTES` it bounds the memory that bodies take. */
export const MAX_IN_FLIGHT = 128;

/** The collector as `Request → Response`: contracts.md "Report", and the pages that on-call looks at. */
export function createApp(dependencies: AppDependencies): { fetch: (request: Request) => Promise<Response> } {
  const { store, settings, log, now } = dependencies;
  const counters = createCounters();
  const enroller = createEnroller(dependencies);
  const app = new Hono();

  app.put('/v1/reports/:digest', (c) => putReport(dependencies, counters, c.req.param('digest'), c.req.raw));

  app.put('/v1/tpm/enrolments/:digest', async (c) => {
    const body = await readBody(c.req.raw, MAX_ENROLMENT_BYTES);
    return jsonAnswer(201, enroller.begin(c.req.param('digest'), body, now()));
  });
  app.put('/v1/tpm/enrolments/:digest/secret', async (c) => {
    const body = await readBody(c.req.raw, MAX_SECRET_BYTES);
    return jsonAnswer(200, enroller.finish(c.req.param('digest'), body, now()));
  });

  app.get('/v1/reports/:digest', (c) => {
    const digest = c.req.param('digest');
    const body = isSha256(digest) ? store.body(digest) : undefined;
    if (body === undefined) throw new CollectorError('not-found', 'no such report is kept here');
    const headers = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' };
    return new Response(Uint8Array.from(body), { headers });
  });

  app.get('/v1/hosts', () =>
    jsonAnswer(200, fleetJson(viewFleet(store.hosts(), now().getTime(), settings), settings)),
  );

  app.get('/v1/hosts/:id', (c) => {
    const found = findHost(dependencies, c.req.param('id'));
    if (found === undefined) throw new CollectorError('not-found', 'no such host is known here');
    return jsonAnswer(200, hostJson(found.view, found.reports, found.flags, found.body));
  });

  app.get('/', (c) => {
    const url = new URL(c.req.url);
    const state = url.searchParams.get('state');
    const fleet = viewFleet(store.hosts(), now().getTime(), settings);
    return page(
      200,
      fleetPage(fleet, {
        settings,
        origin: url.origin,
        refused: counters.refused,
        state: isFleetState(state) ? state : undefined,
        search: (url.searchParams.get('q') ?? '').slice(0, 200).trim(),
        release: url.searchParams.get('release') ?? undefined,
      }),
    );
  });

  app.get('/hosts/:id', (c) => {
    const found = findHost(dependencies, c.req.param('id'));
    if (found === undefined) return page(404, missingPage(now(), 'No such host is known here.'));
    return page(200, hostPage(found.view, found.reports, found.flags, found.body, now().getTime()));
  });

  app.get('/healthz', () => {
    store.countHosts();
    return new Response('ok\n', { headers: { 'cache-control': 'no-store' } });
  });

  app.get('/metrics', () => {
    const at = now().getTime();
    const states = countStates(store.hosts().map((row) => viewHost(row, at, settings)));
    return new Response(formatMetrics(counters, states), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' },
    });
  });

  app.notFound((c) =>
    c.req.path.startsWith('/v1/')
      ? errorAnswer(new CollectorError('not-found', 'there is nothing at this address'))
      : page(404, missingPage(now(), 'There is nothing at this address.')),
  );

  app.onError((thrown, c) => {
    if (thrown instanceof CodedError && statusOf(thrown) !== 503) return errorAnswer(thrown);
    counters.databaseErrors += 1;
    log.error({ code: 'database-failed' }, `a request failed: ${messageOf(thrown)}`);
    const message = 'The collector could not use its database';
    return c.req.path === '/' || c.req.path.startsWith('/hosts/')
      ? page(503, missingPage(now(), `${message}.`))
      : errorAnswer(new CollectorError('database-failed', message, { hint: 'Its log says why.' }));
  });

  return { fetch: async (request) => await app.fetch(request) };
}

async function putReport(
  dependencies: AppDependencies,
  counters: Counters,
  digest: string,
  request: Request,
): Promise<Response> {
  try {
    if (counters.inFlight >= MAX_IN_FLIGHT) {
      throw new CollectorError('overloaded', `${MAX_IN_FLIGHT} reports are being read already`);
    }
    counters.inFlight += 1;
    try {
      const body = await readBody(request, MAX_REPORT_BYTES);
      const { created, ...answer } = ingestReport(dependencies, digest, body, dependencies.now());
      if (created) counters.accepted += 1;
      else counters.duplicates += 1;
      return jsonAnswer(created ? 201 : 200, answer);
    } finally {
      counters.inFlight -= 1;
    }
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    countRefused(counters, thrown.code, dependencies.now());
    if (thrown.code === 'database-failed') counters.databaseErrors += 1;
    const level = thrown.code === 'database-failed' ? 'error' : 'warn';
    dependencies.log[level]({ code: thrown.code }, `a report is refused: ${thrown.message}`);
    return errorAnswer(thrown);
  }
}

type FoundHost = {
  view: ReturnType<typeof viewHost>;
  reports: ReturnType<Store['reports']>;
  flags: ReturnType<Store['flags']>;
  body: Buffer | undefined;
};

function findHost({ store, settings, now }: AppDependencies, id: string): FoundHost | undefined {
  const row = isSha256(id) ? store.host(id) : undefined;
  if (row === undefined) return undefined;
  const host: Sha256 = row.id;
  return {
    view: viewHost(row, now().getTime(), settings),
    reports: store.reports(host),
    flags: store.flags(host),
    body: store.body(row.last.digest),
  };
}

function page(status: number, html: string): Response {
  return new Response(html, { status, headers: PAGE_HEADERS });
}

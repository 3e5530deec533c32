import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { createApp } from '../../src/collector/app.ts';
import { openStore } from '../../src/collector/open-store.ts';
import { NOTHING_REGISTERED } from '../../src/collector/registered.ts';
import { type CollectorSettings, completeSettings } from '../../src/collector/settings.ts';
import type { Store } from '../../src/collector/store.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';

export const NOON: number = Date.parse('2026-11-23T12:00:00.000Z');

/** A directory of its own, gone after the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sealborn-collector-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A collector without a port, on a real database, with a clock that the test turns. */
export type TestCollector = {
  store: Store;
  clock: { now: number };
  get: (path: string) => Promise<Response>;
  page: (path: string) => Promise<string>;
  put: (body: Uint8Array, digest: string) => Promise<{ status: number; answer: Answer; headers: Headers }>;
};
export type Answer = {
  nonce?: string;
  nextReportSeconds?: number;
  error?: { code: string; message: string; hint?: string };
};

export async function testCollector(settings: Partial<CollectorSettings> = {}): Promise<TestCollector> {
  const store = await openStore(join(await temporaryDirectory(), 'fleet.db'));
  onTestFinished(() => store.close());
  const clock = { now: NOON };
  let nonces = 0;
  const app = createApp({
    store,
    settings: completeSettings(settings),
    log: SILENT_LOG,
    now: () => new Date(clock.now),
    registered: NOTHING_REGISTERED,
    randomBytes,
    makeNonce: () => `nonce-${(nonces += 1)}`,
  });
  const get = (path: string): Promise<Response> => app.fetch(new Request(`http://collector.example${path}`));
  return {
    store,
    clock,
    get,
    page: async (path) => await (await get(path)).text(),
    put: async (body, digest) => {
      const url = `http://collector.example/v1/reports/${digest}`;
      const response = await app.fetch(new Request(url, { method: 'PUT', body: Uint8Array.from(body) }));
      return {
        status: response.status,
        answer: (await response.json()) as Answer,
        headers: response.headers,
      };
    },
  };
}

import { describe, expect, it } from 'vitest';

import { createHealthApp } from '../../src/agent/health-app.ts';
import { createMetrics } from '../../src/agent/metrics.ts';
import { startState } from '../../src/agent/state.ts';
import type { DecisionLogStatus } from '../../src/attestation/status.ts';
import { STATES, type Verdict } from '../../src/attestation/verdict.ts';
import { sha256 } from '../../src/base/digest.ts';
import type { PlainRequest, PlainResponse } from '../../src/host/net/http-server.ts';

const GET = {
  method: 'GET',
  headers: {},
  rawHeaders: [],
  body: Buffer.alloc(0),
  peer: (): undefined => undefined,
  client: (): string => 'unknown',
};
const starting: Verdict = startState('2026-11-23T12:00:00.000Z').verdict;

const WRITTEN: DecisionLogStatus = { whenFull: 'block', notLogged: { blocked: 0, dropped: 0 } };

function ask(
  state: Verdict['state'],
  path: string,
  change: Partial<PlainRequest> = {},
  log: DecisionLogStatus = WRITTEN,
): PlainResponse {
  const app = createHealthApp({
    verdict: () => ({ ...starting, state }),
    decisionLog: () => log,
    metrics: () => 'metrics\n',
  });
  return app({ ...GET, target: path, path, ...change });
}

describe('createHealthApp', () => {
  it.each(STATES)('answers /healthz and /readyz in %s: 200 in trusted alone, with the state', (state) => {
    for (const path of ['/healthz', '/readyz']) {
      const answer = ask(state, path);
      expect([answer.status, answer.body]).toEqual([state === 'trusted' ? 200 : 503, `${state}\n`]);
      expect(answer.headers).toMatchObject({ 'cache-control': 'no-store' });
      expect(answer.headers).not.toHaveProperty('location');
      expect(ask(state, path, { method: 'HEAD' }).status).toBe(answer.status);
    }
    expect(ask(state, '/livez').status).toBe(200);
  });

  it('is 503 while every decision is a deny because it cannot be logged, and counts what was not logged', () => {
    const fault = { code: 'io-failed', message: 'ENOSPC /var/log', since: '2026-11-23T12:00:00.000Z' };
    const at = (change: Partial<DecisionLogStatus>): [number, unknown] => {
      const { status, body } = ask('trusted', '/healthz', {}, { ...WRITTEN, ...change });
      return [status, body];
    };
    expect(at({ fault, notLogged: { blocked: 3, dropped: 0 } })).toEqual([
      503,
      'trusted\ndecision log: not written, 3 decisions not logged\n',
    ]);
    expect(at({ fault, whenFull: 'drop', notLogged: { blocked: 0, dropped: 4 } })).toEqual([
      200,
      'trusted\ndecision log: not written, 4 decisions not logged\n',
    ]);
    expect(at({ notLogged: { blocked: 3, dropped: 0 } })[0]).toBe(200);
  });

  it('says nothing of why: no reason, no path', () => {
    const app = createHealthApp({
      verdict: () => ({ ...starting, state: 'drifted', reason: { code: 'x', message: 'secret' } }),
      decisionLog: () => WRITTEN,
      metrics: () => '',
    });
    const answer = app({ ...GET, target: '/healthz', path: '/healthz' });
    expect(answer.body).toBe('drifted\n');
  });

  it('answers 405 with Allow to other methods, 404 to other paths, /status among them', () => {
    expect(ask('trusted', '/healthz', { method: 'POST' })).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    });
    for (const path of ['/status', '/', '', '/healthz/', '/constructor', '/__proto__', '//healthz']) {
      expect(ask('trusted', path).status).toBe(404);
    }
  });

  it('echoes a plain X-Request-ID and no other', () => {
    const id = (value: string): unknown =>
      ask('trusted', '/livez', { headers: { 'x-request-id': value } }).headers['x-request-id'];
    expect(id('bfe9eb29-ab87-4ca3-be83-a1d5d8305716')).toBe('bfe9eb29-ab87-4ca3-be83-a1d5d8305716');
    for (const bad of ['', 'a\r\nset-cookie: x', 'ü', 'x'.repeat(257)]) expect(id(bad)).toBeUndefined();
  });
});

describe('createMetrics', () => {
  it('formats states, decisions, latency, drift, measurement, heartbeat and reports for Prometheus', () => {
    const metrics = createMetrics(new Date('2026-11-23T12:00:00Z'));
    metrics.countDecision('permit', 0.00002);
    metrics.countDecision('permit', 0.002);
    metrics.countDecision('forbid', 7);
    metrics.countRequest(200);
    const text = metrics.format({
      verdict: {
        ...starting,
        state: 'trusted',
        measured: { files: 3, bytes: 12, seconds: 0.5 },
        release: {
          name: 'payments',
          version: '1.4.0',
          sequence: 7,
          environment: 'production',
          commit: 'c0"f\\fee\n',
          digest: sha256('s'),
        },
      },
      decisionLog: {
        ...WRITTEN,
        head: { seq: 42, head: sha256('l') },
        notLogged: { blocked: 1, dropped: 2 },
      },
      silenceMs: 250,
      reports: { sent: 5, failed: 4, refused: 3, dropped: 2, spooled: 1 },
    });
    const lines = text.trimEnd().split('\n');
    for (const line of [
      'sealborn_state{state="trusted"} 1',
      'sealborn_state{state="drifted"} 0',
      'sealborn_trusted 1',
      'sealborn_drift_findings 0',
      'sealborn_measured_files 3',
      'sealborn_measured_bytes 12',
      'sealborn_measured_seconds 0.5',
      'sealborn_heartbeat_age_seconds 0.25',
      'sealborn_decisions_total{reason="permit"} 2',
      'sealborn_decisions_total{reason="no-permit"} 0',
      'sealborn_decision_seconds_bucket{le="0.000025"} 1',
      'sealborn_decision_seconds_bucket{le="0.0025"} 2',
      'sealborn_decision_seconds_bucket{le="1"} 2',
      'sealborn_decision_seconds_bucket{le="+Inf"} 3',
      'sealborn_decision_seconds_count 3',
      'sealborn_reports_total{result="dropped"} 2',
      'sealborn_reports_spooled 1',
      'sealborn_decision_log_available 1',
      'sealborn_decision_log_sequence 42',
      'sealborn_decisions_not_logged_total{action="blocked"} 1',
      'sealborn_decisions_not_logged_total{action="dropped"} 2',
      'sealborn_process_start_time_seconds 1795435200',
      'sealborn_release_info{name="payments",version="1.4.0",environment="production",commit="c0\\"f\\\\fee\\n"} 1',
    ]) {
      expect(lines).toContain(line);
    }
    expect(lines.every((line) => /^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? \S+)$/.test(line))).toBe(true);
    const families = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2]);
    expect(new Set(families).size).toBe(families.length);
  });

  it('shows a measuring half that is not heard as infinitely old', () => {
    const text = createMetrics(new Date(0)).format({
      verdict: starting,
      decisionLog: WRITTEN,
      silenceMs: undefined,
      reports: undefined,
    });
    expect(text).toContain('sealborn_heartbeat_age_seconds +Inf\n');
    expect(text).toContain('sealborn_trusted 0\n');
  });
});

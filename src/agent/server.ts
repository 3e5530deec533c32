import type { Verdict } from '../attestation/verdict.ts';
import type { DecisionLogRules } from '../base/decision-log-rules.ts';
import { activatedSockets } from '../host/kernel/activated-sockets.ts';
import { readBootId } from '../host/kernel/boot-id.ts';
import { makeDirectory } from '../host/files.ts';
import { serveHttp } from '../host/net/http-server.ts';
import { giveHeapRoom } from '../host/heap-room.ts';
import { loadServedRelease } from '../host/load-release.ts';
import type { Log } from '../host/log/log.ts';
import { releaseMemory } from '../host/kernel/release-memory.ts';
import type { ServiceNotifier } from '../host/kernel/service-notifier.ts';
import { openTpm } from '../host/tpm.ts';
import { keepTickShape } from '../host/tick-shape.ts';
import { readTrustPin } from '../host/trust-pin.ts';
import type { Engine } from '../policy/engine.ts';
import { SILENCE_MS } from './channel-message.ts';
import { createDecider } from './decide/decider.ts';
import { type DecisionLog, startDecisionLog } from './decide/decision-log.ts';
import { openDecisionSockets } from './decide/decision-sockets.ts';
import { createHealthApp } from './health-app.ts';
import { readLatch } from './measure/latch.ts';
import { HEADERS_TIMEOUT_MS, tellOfError } from './listening.ts';
import { createMeasurerCheck } from './measurer-peer.ts';
import { createMetrics } from './metrics.ts';
import { type OpenGate, openGate } from './decide/open-gate.ts';
import { reasonOf } from './reason.ts';
import { type Reporter, startReporter } from './report/reporter.ts';
import type { AgentSettings } from './settings.ts';
import { type OwnRelease, judge } from './standing.ts';
import { type VerdictView, followVerdict } from './verdict-follower.ts';
import { verdictSocketPath } from './measure/verdict-publisher.ts';

/** What the serving half is given from outside. */
export type ServerDependencies = {
  log: Log;
  notify: ServiceNotifier;
  now: () => Date;
  /** Where the pin of trust.yaml is looked for besides the kernel command line. */
  environment: NodeJS.ProcessEnv;
  /** Silence of the measuring half that ends trust; tests shorten it. */
  silenceMs?: number;
};

export type AgentServer = {
  /** What the serving half goes by at this moment. */
  verdict: () => Verdict;
  decideSocket: string;
  linesSocket: string;
  /** The TCP port for proxies, where one is set. */
  authzPort: number | undefined;
  /** The TCP port of health. */
  healthPort: number;
  /** Whether the measuring half is followed: a verdict held as live was heard of in time. */
  isWell: () => boolean;
  close: () => Promise<void>;
};

/** A silence of the measuring half that was not noticed for this long shows that this process does not work. */
const MAX_UNNOTICED_MS = 2 * SILENCE_MS;
/** Probes of load balancers and Prometheus at one time. */
const MAX_PROBES = 512;

/**
 * Starts the serving half: it verifies the release for itself, believes a verdict only as long as the
 * measuring half is heard and holds the same release, and serves decisions, status, health and reports. A
 * release that it can't verify does not keep it from starting: it stays up, unhealthy, to say why.
 * @throws HostError where decide.sock or the health port can't be had
 */
export async function startServer(settings: AgentSettings, deps: ServerDependencies): Promise<AgentServer> {
  const { log, now, notify } = deps;
  await keepTickShape();
  await makeDirectory(settings.runDirectory, 0o755);
  const metrics = createMetrics(now());
  const { own, engine, logRules, open } = await loadOwnRelease(settings, deps);
  await using starting = new AsyncDisposableStack();
  const release = own.ok && logRules !== undefined ? { id: own.release, rules: logRules } : undefined;
  const decisionLog = await startDecisionLog({ settings, release, log, now });
  starting.defer(() => decisionLog.close());

  const reports: { reporter?: Reporter | undefined } = {};
  const standing = createStanding(own, deps, (verdict, kind) => {
    notify(`STATUS=${verdict.state}`);
    reports.reporter?.changed(kind);
  });
  const follower = followVerdict({
    path: verdictSocketPath(settings.runDirectory),
    onChange: standing.see,
    isMeasurer: await createMeasurerCheck(),
    ...(deps.silenceMs === undefined ? {} : { silenceMs: deps.silenceMs }),
  });
  starting.defer(() => follower.close());
  let latched: Verdict | undefined;
  const verdict = (): Verdict => latched ?? standing.see(follower.view());
  // What stops this process may be what drift started (a power-off), before the verdict came over the socket.
  // The latch is written first, so a last look at it lets the last report tell.
  const seeLatch = async (): Promise<void> => {
    const { state } = verdict();
    if (state === 'drifted' || state === 'refused') return;
    const latch = await readLatch(settings.runDirectory, await readBootId(), now().toISOString());
    if (latch.kind !== 'latched') return;
    latched = latch.verdict;
    standing.see({ live: true, verdict: latched });
  };

  const decider = createDecider({
    verdict,
    engine,
    metrics,
    account: decisionLog.account,
    accountSearch: decisionLog.accountSearch,
  });
  const sockets = await openDecisionSockets({
    runDirectory: settings.runDirectory,
    activated: activatedSockets(deps.environment),
    authzListen: settings.authz?.listen,
    open,
    now,
    decider,
    verdict,
    decisionLog: decisionLog.status,
    metrics,
    log,
  });
  starting.defer(() => sockets.close());
  const health = await serveHttp({
    listen: settings.health.listen,
    handle: createHealthApp({
      verdict,
      decisionLog: decisionLog.status,
      metrics: () =>
        metrics.format({
          verdict: verdict(),
          decisionLog: decisionLog.status(),
          silenceMs: follower.silenceMs(),
          reports: reports.reporter?.counts(),
        }),
    }),
    maxBodyBytes: 0,
    maxConnections: MAX_PROBES,
    headersTimeoutMs: HEADERS_TIMEOUT_MS,
    onError: (thrown) => tellOfError(thrown, log),
  });
  starting.defer(() => health.close());
  const reporter = await startReports(settings, deps, verdict, decisionLog);
  if (reporter !== undefined) starting.defer(() => reporter.close());
  starting.defer(seeLatch); // the last deferred is done first
  reports.reporter = reporter;

  const running = starting.move();
  log.info(
    {
      code: 'serving',
      decideSocket: sockets.decideSocket,
      linesSocket: sockets.linesSocket,
      authzPort: sockets.authzPort,
      healthPort: health.port,
      collector: settings.collector?.url.origin,
    },
    'serving decisions, status and health',
  );
  notify('READY=1');
  await releaseMemory(log);
  giveHeapRoom();
  return {
    verdict,
    decideSocket: sockets.decideSocket,
    linesSocket: sockets.linesSocket,
    authzPort: sockets.authzPort,
    healthPort: health.port ?? settings.health.listen.port,
    isWell: () => (follower.silenceMs() ?? 0) < MAX_UNNOTICED_MS,
    close: () => running.disposeAsync(),
  };
}

type LoadedHalf = {
  own: OwnRelease;
  engine: Engine | undefined;
  logRules: DecisionLogRules | undefined;
  open: OpenGate | undefined;
};

async function loadOwnRelease(
  settings: AgentSettings,
  { environment, log }: ServerDependencies,
): Promise<LoadedHalf> {
  try {
    const pin = await readTrustPin(environment);
    const { verified, policy, engine, access } = await loadServedRelease({
      ...settings,
      ...(pin === undefined ? {} : { pin }),
    });
    return {
      own: { ok: true, release: verified.release },
      engine,
      logRules: verified.predicate.decisionLog,
      open: await openGate(access, policy, engine, log),
    };
  } catch (thrown) {
    const reason = reasonOf(thrown);
    log.error({ code: 'release-refused', reason }, `no decision will be permitted: ${reason.message}`);
    return { own: { ok: false, reason }, engine: undefined, logRules: undefined, open: undefined };
  }
}

type Standing = { see: (view: VerdictView) => Verdict };

/** Judges each new view of the verdict once, and tells of what changed by it. */
function createStanding(
  own: OwnRelease,
  { log, now }: ServerDependencies,
  tell: (verdict: Verdict, kind: 'change' | 'interval') => void,
): Standing {
  let seen: VerdictView | undefined;
  let current: Verdict | undefined;
  return {
    see: (view) => {
      if (current !== undefined && seen === view) return current;
      const before = current;
      seen = view;
      current = judge(own, view, now().toISOString());
      const { state, reason, release, driftTotal } = current;
      if (before?.state !== state || before.release?.digest !== release?.digest) {
        log[state === 'drifted' || state === 'refused' ? 'error' : 'info'](
          { code: 'standing', state, reason, driftTotal },
          state === 'trusted' ? 'trusted: decisions are served' : `${state}: every decision is a deny`,
        );
        tell(current, 'change');
      } else if (before.reason?.code !== reason?.code || before.driftTotal !== driftTotal) {
        tell(current, 'interval');
      }
      return current;
    },
  };
}

/** Attestation is no condition of serving: where it can't start, the log says so and the rest goes on. */
async function startReports(
  settings: AgentSettings,
  { log, now }: ServerDependencies,
  verdict: () => Verdict,
  decisionLog: DecisionLog,
): Promise<Reporter | undefined> {
  const { collector, stateDirectory, runDirectory, labels } = settings;
  if (collector === undefined) return undefined;
  try {
    const { tpm: chosen } = settings;
    const tpm = chosen && {
      tpm: openTpm({ tcti: chosen.tcti, directory: stateDirectory }),
      pcr: chosen.pcr,
      runDirectory,
    };
    return await startReporter({
      collector,
      stateDirectory,
      labels,
      log,
      now,
      verdict,
      decisionLog: decisionLog.head,
      tpm,
    });
  } catch (thrown) {
    const reason = reasonOf(thrown);
    log.error({ code: 'reports-off', reason }, `no report will be sent: ${reason.message}`);
    return undefined;
  }
}

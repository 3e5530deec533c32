import type { Verdict } from '../../attestation/verdict.ts';
import { messageOf } from '../../base/errors.ts';
import { HostError } from '../../host/host-error.ts';
import type { Log } from '../../host/log/log.ts';
import type { ServiceNotifier } from '../../host/kernel/service-notifier.ts';
import { type Model, type StateEvent, advance } from '../state.ts';

/** Holds the measuring half's state and makes every change known, in the order in which it must be. */
export type VerdictKeeper = {
  verdict: () => Verdict;
  /** Events take their turns: what one changed is latched and published before the next. @throws AgentError `state-illegal` */
  apply: (event: StateEvent) => Promise<void>;
};

export type VerdictKeeperOptions = {
  first: Model;
  publish: (verdict: Verdict) => void;
  /** Writes the latch file. */
  latch: (verdict: Verdict) => Promise<void>;
  notify: ServiceNotifier;
  log: Log;
};

/** The run directory is memory; a write that takes longer than this must not keep the verdict back. */
const LATCH_TIMEOUT_MS = 1000;
/** Findings logged one by one at a change; the verdict has more. */
const LOGGED_FINDINGS = 10;

/**
 * A verdict that is latched is on disk before anyone hears of it, so that killing the process the moment the
 * drift shows does not undo it. If the latch can't be written, or takes too long, the verdict stands all the
 * same and the log says so.
 */
export function createVerdictKeeper(options: VerdictKeeperOptions): VerdictKeeper {
  const { publish, log } = options;
  let model = options.first;
  let turn: Promise<void> = Promise.resolve();
  const apply = async (event: StateEvent): Promise<void> => {
    const before = model.verdict;
    model = advance(model, event);
    const { verdict } = model;
    if (verdict === before) return;
    const isLatched = verdict.state === 'drifted' || verdict.state === 'refused';
    if (isLatched && event.type !== 'latched' && event.type !== 'covered') await writeLatch(options, verdict);
    publish(verdict);
    if (verdict.state !== before.state) {
      options.notify(`STATUS=${verdict.state}`);
      logState(log, verdict);
    }
    if (verdict.driftTotal > before.driftTotal) logDrift(log, verdict, before.drift.length);
  };
  return {
    verdict: () => model.verdict,
    apply: async (event) => {
      const mine = turn.then(() => apply(event));
      turn = mine.catch(() => undefined);
      await mine;
    },
  };
}

async function writeLatch({ latch, log }: VerdictKeeperOptions, verdict: Verdict): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new HostError('timeout', `it was not written within ${LATCH_TIMEOUT_MS} ms`));
  }, LATCH_TIMEOUT_MS);
  try {
    await Promise.race([latch(verdict), late.promise]);
  } catch (thrown) {
    log.error(
      { code: 'latch-failed' },
      `the latch was not written, so that a restart of this process could forget the verdict: ${messageOf(thrown)}`,
    );
  } finally {
    clearTimeout(timer);
  }
}

function logState(log: Log, verdict: Verdict): void {
  const { state, since, release, measured, driftTotal, reason } = verdict;
  const fields = { code: 'state', state, since, release, measured, driftTotal, reason };
  const name = `${release?.name} ${release?.version}`;
  switch (state) {
    case 'starting':
    case 'measuring':
      log.info(fields, `${state}: ${name} of commit ${release?.commit}`);
      break;
    case 'trusted':
      log.info(fields, `trusted: ${measured?.files} files are as ${name} says`);
      break;
    case 'drifted':
      log.error(fields, `drifted: ${reason?.message ?? `${driftTotal} difference(s)`}`);
      break;
    case 'refused':
      log.error(fields, `refused: ${reason?.message}`);
      break;
  }
}

function logDrift(log: Log, { drift, driftTotal }: Verdict, from: number): void {
  for (const { path, kind, expected, actual } of drift.slice(from, from + LOGGED_FINDINGS)) {
    // The finding's path is escaped already; escaped once more it would show another name.
    log.error({ code: 'drift', path, kind, expected, actual }, kind);
  }
  log.error({ code: 'drift-total', driftTotal }, `${driftTotal} difference(s) in all`);
}

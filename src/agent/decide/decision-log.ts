import { type LogHead, formatFields } from '../../attestation/log-line.ts';
import type { DecisionLogStatus } from '../../attestation/status.ts';
import {
  DEFAULT_DECISION_LOG_RULES,
  type DecisionLogRules,
  EVERYTHING_CLAIMED,
} from '../../base/decision-log-rules.ts';
import type { ReleaseId } from '../../base/release-id.ts';
import { VERSION } from '../../base/version.ts';
import { readBootId } from '../../host/kernel/boot-id.ts';
import type { Log } from '../../host/log/log.ts';
import type { Answer, Decided, SearchAnswer, Searched } from './decider.ts';
import { createRecorder } from './decision-record.ts';
import { openLogStore } from './log-store.ts';
import { startLogWriter } from './log-writer.ts';
import { reasonOf } from '../reason.ts';
import type { AgentSettings } from '../settings.ts';

/** Decisions that wait to be made lines at most: what waits holds its question. */
const MAX_LATER = 64;

export type DecisionLogOptions = {
  settings: Pick<AgentSettings, 'logDirectory' | 'decisionLog' | 'labels'>;
  /** What the release says; absent where none was verified. */
  release: { id: ReleaseId; rules: DecisionLogRules } | undefined;
  log: Log;
  now: () => Date;
};

export type DecisionLog = {
  /** Keeps account of a decision: what a decider's `account` does. */
  account: (decided: Decided) => Answer;
  accountSearch: (searched: Searched) => SearchAnswer;
  /** The last line that is safe from a crash: what reports carry. */
  head: () => LogHead | undefined;
  status: () => DecisionLogStatus;
  close: () => Promise<void>;
};

/**
 * Starts the log of decisions (docs/decision-log.md). A log that can't be written does not keep the agent from
 * starting: decisions are then denied or dropped from the log, as the release says, until it can be.
 * @throws HostError `directory-in-use` where another process writes it
 */
export async function startDecisionLog({
  settings,
  release,
  log,
  now,
}: DecisionLogOptions): Promise<DecisionLog> {
  const { logDirectory, decisionLog, labels } = settings;
  // Without a release nobody says what is secret, so that nothing is logged but names.
  const { whenFull, mask } = release?.rules ?? { ...DEFAULT_DECISION_LOG_RULES, mask: EVERYTHING_CLAIMED };
  const recorder = createRecorder(mask, labels);
  const bootId = await readBootId();
  const notLogged = { blocked: 0, dropped: 0 };
  const ownLine = (type: 'start' | 'segment', startsAt: number): string =>
    formatFields(type, {
      timestamp: now().toISOString(),
      startsAt,
      bootId,
      program: `sealborn ${VERSION}`,
      release: release?.id,
      labels,
    });
  const writer = await startLogWriter({
    open: () => openLogStore(logDirectory, decisionLog),
    now,
    syncMs: decisionLog.syncMilliseconds,
    own: {
      start: (store) => {
        const { torn } = store.recovered;
        const lines = [ownLine('start', store.startsAt())];
        if (torn !== undefined) lines.push(formatFields('torn', { timestamp: now().toISOString(), ...torn }));
        return lines;
      },
      segment: (store) => ownLine('segment', store.startsAt()),
      gap: (lost, { since, reason }) =>
        formatFields('gap', {
          timestamp: now().toISOString(),
          since: since.toISOString(),
          not_logged: lost,
          action: whenFull,
          reason: reasonOf(reason).message,
        }),
      stop: () => formatFields('stop', { timestamp: now().toISOString() }),
    },
    onFault: ({ reason }) => {
      const what =
        whenFull === 'block' ? 'every decision is a deny' : 'decisions are made without their line';
      log.error(
        { code: 'decision-log-failed', whenFull, reason: reasonOf(reason) },
        `the decision log can't be written, so ${what}: ${reasonOf(reason).message}`,
      );
    },
    onRecovered: (lost) =>
      log.info(
        { code: 'decision-log-recovered', lost },
        `the decision log is written again; ${lost} decisions are not in it`,
      ),
  });

  /** Whether a decision may be handed out, now that its line will be kept or not. */
  const mayPass = (isLogged: boolean): boolean => {
    if (isLogged) return true;
    notLogged[whenFull === 'drop' ? 'dropped' : 'blocked'] += 1;
    return whenFull === 'drop';
  };
  // Lines are made once the answers of this turn of the event loop are written: no client waits for them then.
  let later: { decided: Decided; at: Date }[] = [];
  const writeLater = (): void => {
    const turn = later;
    later = [];
    for (const { decided, at } of turn) {
      try {
        writer.append(recorder.decision(decided, at));
      } catch (thrown) {
        notLogged.dropped += 1; // its answer is given already
        writer.fail(thrown);
      }
    }
  };
  return {
    account: (decided) => {
      const isLogged = writer.admits();
      if (isLogged) {
        if (later.length === 0) setImmediate(writeLater);
        later.push({ decided, at: now() });
        if (later.length >= MAX_LATER) writeLater();
      }
      if (mayPass(isLogged)) return decided.answer;
      const { decisionId, release: named } = decided.answer.context;
      return {
        decision: false,
        context: {
          reason: 'not-logged',
          policies: [],
          ...(named === undefined ? {} : { release: named }),
          decisionId,
        },
      };
    },
    accountSearch: (searched) => {
      writeLater();
      const isLogged = writer.admits();
      if (isLogged) writer.append(recorder.search(searched, now()));
      if (mayPass(isLogged)) return searched.answer;
      const { decisionId, release: named } = searched.answer.context;
      return {
        page: { next_token: '', count: 0 },
        context: { reason: 'not-logged', ...(named === undefined ? {} : { release: named }), decisionId },
        results: [],
      };
    },
    head: writer.synced,
    status: () => {
      const fault = writer.fault();
      const head = writer.synced();
      return {
        ...(head === undefined ? {} : { head }),
        whenFull,
        notLogged: { ...notLogged },
        ...(fault === undefined
          ? {}
          : { fault: { since: fault.since.toISOString(), ...reasonOf(fault.reason) } }),
      };
    },
    close: async () => {
      writeLater();
      await writer.close();
    },
  };
}

import {
  type Reader,
  digest,
  isObject,
  moment,
  oneOf,
  optional,
  record,
  text,
  whole,
} from '../base/shape.ts';
import type { LogHead } from './log-line.ts';
import { type Verdict, type VerdictReason, verdictShape } from './verdict.ts';

/** How the log of decisions does. */
export type DecisionLogStatus = {
  /** The last line that is safe from a crash; absent before the first. */
  head?: LogHead;
  /** What the release says of decisions that can't be logged. */
  whenFull: 'block' | 'drop';
  /** Decisions since this process started that no line was kept of: denied, or handed out all the same. */
  notLogged: { blocked: number; dropped: number };
  /** Why lines can't be kept now, and since when. */
  fault?: VerdictReason & { since: string };
};

/** `GET /status` on the decision socket. */
export type Status = Verdict & { decisionLog: DecisionLogStatus };

const decisionLogStatusShape: Reader<DecisionLogStatus> = record({
  head: optional(record({ seq: whole(1), head: digest })),
  whenFull: oneOf('block', 'drop'),
  notLogged: record({ blocked: whole(), dropped: whole() }),
  fault: optional(
    record({ code: text({ max: 256 }), message: text({ min: 0, max: 65_536 }), since: moment }),
  ),
});

/** Reads what `GET /status` answers; both ends are one version, so an unknown field is a fault. */
export const statusShape: Reader<Status> = (value, path, problems) => {
  const { decisionLog, ...verdict } = isObject(value) ? value : {};
  return {
    ...verdictShape(isObject(value) ? verdict : value, path, problems),
    decisionLog: decisionLogStatusShape(decisionLog, [...path, 'decisionLog'], problems),
  };
};

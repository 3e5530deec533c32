import type { Coverage, VerdictReason } from '../../attestation/verdict.ts';
import type { Finding } from '../../base/finding.ts';

/**
 * One of the ways in which drift is looked for while the agent runs, each covering what another can't see.
 * `run-tiers.ts` runs them beside each other and merges what they find into the verdict.
 */
export type Tier = {
  /** In the log and in reasons. */
  name: string;
  /** Milliseconds without a sign of life after which it counts as hung: a disk that does not answer, say. */
  silenceMs: number;
  /** Looks until `signal` is aborted. That it returns before, or throws, is a failed check. */
  run: (context: TierContext, signal: AbortSignal) => Promise<void>;
};

/**
 * Silence that most tiers may keep. A read that the kernel never answers can't be called back, and reading the
 * largest file of an image takes its time; what is longer is a disk that does not answer.
 */
export const PATIENCE_MS: number = 15 * 60_000;

/** What a tier is given. */
export type TierContext = {
  /**
   * Merges findings into the verdict; resolves when they are latched and published. `findingsTotal` counts those
   * too that are not handed over, or were before in the same pass. Without findings it does nothing: no tier can
   * make a verdict better.
   */
  report: (found: { findings: readonly Finding[]; findingsTotal: number }) => Promise<void>;
  /** A check that could not be done. What can't be checked is not trusted. */
  fail: (reason: VerdictReason) => Promise<void>;
  /** Says what is covered at the moment; the rest of the coverage stands. */
  cover: (part: Coverage) => Promise<void>;
  /** A sign of life, to be given at every step. */
  alive: () => void;
};

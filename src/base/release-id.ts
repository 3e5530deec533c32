import type { Sha256 } from './digest.ts';

/** Which release a machine runs: what verdicts, decisions and reports carry. */
export type ReleaseId = {
  name: string;
  version: string;
  /** Grows with every release; an older one can be refused. */
  sequence: number;
  environment: string;
  /** The commit of the policy repository. */
  commit: string;
  /** SHA-256 of the signed statement (the envelope's payload), which names all the rest. */
  digest: Sha256;
};

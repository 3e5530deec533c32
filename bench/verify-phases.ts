// What bench/verify.ts can be told to do: one or more parts of it, each short enough for a quiet moment.
import { parseArgs } from 'node:util';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';

/** The parts: see the top of bench/verify.ts. All but growth are done unless told otherwise. */
export const PHASES = ['warm', 'cold', 'memory', 'peers', 'growth'] as const;
export type Phase = (typeof PHASES)[number];

export type VerifyFlags = {
  root: string;
  workers: number;
  reps: number;
  phases: ReadonlySet<Phase>;
  quick: boolean;
  json: boolean;
};

/** What `--quick` measures unless `--root` names another: some thousand files, the same on every machine. */
export const QUICK_FILES = 3000;

export function readFlags(args: string[]): VerifyFlags {
  const { values } = parseArgs({
    args,
    options: {
      root: { type: 'string' },
      workers: { type: 'string', default: String(Math.min(8, availableParallelism())) },
      reps: { type: 'string' },
      only: { type: 'string' },
      growth: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const workers = Number(values.workers);
  const reps = Number(values.reps ?? (values.quick ? '3' : '5'));
  if (!(workers >= 1 && reps >= 1)) throw new Error('--workers and --reps must be whole numbers from 1');
  const named = values.only?.split(',') ?? (values.growth ? ['growth'] : PHASES.slice(0, -1));
  const phases = named.map((name) => {
    const phase = PHASES.find((known) => known === name);
    if (phase === undefined) throw new Error(`--only ${name}: it is ${PHASES.join(', ')}`);
    return phase;
  });
  return {
    root: values.root === undefined ? (values.quick ? '' : '/usr') : resolve(values.root),
    workers,
    reps,
    phases: new Set(phases),
    quick: values.quick,
    json: values.json,
  };
}

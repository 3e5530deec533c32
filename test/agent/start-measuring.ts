import { onTestFinished } from 'vitest';

import { type Measurer, type MeasurerDependencies, startMeasurer } from '../../src/agent/measure/measurer.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import type { SealedMachine } from './sealed-machine.ts';

/** The measuring half of a machine for the life of a test: silent, by the real clock, unless told otherwise. */
export async function startMeasuring(
  machine: SealedMachine,
  change: Partial<MeasurerDependencies> = {},
): Promise<Measurer> {
  const measurer = await startMeasurer(machine.settings(), {
    log: SILENT_LOG,
    notify: () => undefined,
    now: () => new Date(),
    environment: {},
    ...change,
  });
  onTestFinished(() => measurer.close());
  return measurer;
}

import { expect } from 'vitest';

import type { Measurer } from '../../src/agent/measure/measurer.ts';
import { startMeasuring } from './start-measuring.ts';
import { type SealedMachine, sealMachine } from './sealed-machine.ts';
import { until } from './until.ts';

/** An agent whose sweep comes once an hour: what it finds, it finds by its watches. */
export async function watched(): Promise<{ machine: SealedMachine; measurer: Measurer }> {
  const machine = await sealMachine({ sweepSeconds: 3600 });
  const measurer = await startMeasuring(machine);
  await until('the sweep after the watches were placed', () => {
    const { coverage } = measurer.verdict();
    return coverage?.watch !== undefined && (coverage.sweep?.immediate ?? 0) > 0;
  });
  expect(measurer.verdict()).toMatchObject({ state: 'trusted', coverage: { watch: { overflows: 0 } } });
  const { held, wanted } = measurer.verdict().coverage?.watch ?? { held: 0, wanted: -1 };
  expect(held).toBe(wanted);
  return { machine, measurer };
}

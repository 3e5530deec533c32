import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { startWatchdog } from '../../../src/host/kernel/watchdog.ts';

describe('startWatchdog', () => {
  const start = (
    environment: NodeJS.ProcessEnv,
    isWell: () => boolean,
  ): { said: string[]; end: () => void } => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const said: string[] = [];
    const end = startWatchdog(environment, (state) => void said.push(state), isWell);
    onTestFinished(end);
    return { said, end };
  };

  it('says that all is well at half of the time, and nothing while it is not', () => {
    let well = true;
    const { said, end } = start({ WATCHDOG_USEC: '2000000' }, () => well);
    vi.advanceTimersByTime(3500);
    expect(said).toEqual(['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1']);
    well = false;
    vi.advanceTimersByTime(5000);
    expect(said).toHaveLength(3);
    well = true;
    vi.advanceTimersByTime(1000);
    expect(said).toHaveLength(4);
    end();
    vi.advanceTimersByTime(5000);
    expect(said).toHaveLength(4);
  });

  it.for([{}, { WATCHDOG_USEC: '' }, { WATCHDOG_USEC: '2000000', WATCHDOG_PID: '1' }])(
    'does nothing where systemd does not watch this process: %j',
    (environment) => {
      const { said } = start(environment, () => true);
      vi.advanceTimersByTime(60_000);
      expect(said).toEqual([]);
    },
  );
});

import { execFileSync } from 'node:child_process';

import { describe, expect, test } from 'vitest';

import { until } from '../agent/until.ts';
import { watched } from '../agent/watched-machine.ts';

describe('attack table: directory watches', () => {
  test('46: the queue overflows: an immediate sweep, and nothing is missed', async () => {
    const { machine, measurer } = await watched();
    // This process hears of nothing while it waits here, so the events pile up in the kernel. They are of files
    // that stay what they are: a look that runs meanwhile must not find anything either.
    execFileSync('sh', [
      '-c',
      'cd "$1" && yes "etc/app.conf usr/bin/app" | head -20000 | xargs touch && printf X >> usr/bin/app',
      'sh',
      machine.root,
    ]);
    await until('drift', () => measurer.verdict().drift.some(({ path }) => path === '/usr/bin/app'));
    await until('the overflow to show', () => (measurer.verdict().coverage?.watch?.overflows ?? 0) > 0);
    expect(measurer.verdict().drift.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'modified /usr/bin/app',
    ]);
  });
});

import { closeSync, openSync } from 'node:fs';

import { expect, it } from 'vitest';

import { createLog } from '../../../src/host/log/log.ts';

it('createLog goes on where its lines can not be written, and holds a bounded number of them', async () => {
  const full = openSync('/dev/full', 'w');
  try {
    const log = createLog('test', full);
    const before = process.memoryUsage().heapUsed;
    for (let line = 0; line < 20_000; line += 1) log.info({ code: 'x' }, 'y'.repeat(1000));
    // What the stream would report, it reports on a later turn; an unhandled error would fail this test.
    await new Promise((resolve) => setImmediate(resolve));
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(15 * 1024 * 1024);
  } finally {
    closeSync(full);
  }
});

import { expect, it } from 'vitest';

import { keepTickShape } from '../../src/host/tick-shape.ts';

it('keepTickShape keeps what process.nextTick makes, once', async () => {
  const kept = await keepTickShape();
  expect(Object.keys(kept)).toEqual(['callback', 'args']);
  expect(await keepTickShape()).toBe(kept);
});

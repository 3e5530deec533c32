import { expect, test } from 'vitest';

import { formatManifest } from '../../src/manifest/format.ts';
import { takeManifest } from '../../src/manifest/take-manifest.ts';
import { dir, file } from './samples.ts';

test('takeManifest gives the memory of its text back, and leaves memory that others share alone', () => {
  const bytes = formatManifest([dir(''), file('a')]);
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  expect(takeManifest(own).files).toBe(1);
  expect(own.length).toBe(0);
  const shared = Buffer.concat([bytes, Buffer.from('beside')]).subarray(0, bytes.length);
  expect(takeManifest(shared).files).toBe(1);
  expect(shared.equals(bytes)).toBe(true);
});

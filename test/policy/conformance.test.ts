import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { runConformance } from '../../scripts/conformance/run-conformance.ts';
import { corpus } from '../support/corpora.ts';

const archives = [
  { ...corpus('cedar/handwritten.tar.gz'), name: 'handwritten', requests: 74 },
  { ...corpus('cedar/corpus-sample.tar.gz'), name: 'corpus-sample', requests: 12_584 },
];
let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealborn-conformance-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("Cedar's integration tests", () => {
  for (const archive of archives) {
    it.skipIf(archive.missing)(`decides all of ${archive.name} as Cedar does`, { timeout: 120_000 }, () => {
      const folder = mkdtempSync(join(directory, 'archive-'));
      execFileSync('tar', ['-xzf', archive.path, '-C', folder]);
      const { passed, failures } = runConformance(folder);
      expect(failures).toEqual([]);
      expect(passed).toBe(archive.requests);
    });
  }
});

// How a check grows with the tree: trees of small files, from 10,000 to 500,000, each checked by a new process.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { measureTree } from '../src/host/measure/measure-tree.ts';
import { formatManifest } from '../src/manifest/format.ts';
import { rulesWith } from '../test/support/rules.ts';
import type { CheckTiming } from './verify-checker.ts';
import { type Report, goal, median, round } from './verify-report.ts';

export const SIZES: readonly number[] = [10_000, 50_000, 125_000, 250_000, 500_000];
const FILES_A_DIRECTORY = 100;
const CHECKS = 3;

/** Linear: a file of the largest tree costs at most this many times what one of the smallest does. */
const MOST_GROWTH = 1.25;
/** Beyond the manifest itself, for each file of the largest tree over the smallest (issue 3, point 1). */
const MOST_BYTES = 150;

export type GrowthOptions = {
  /** The program that checks: bench/verify-checker.ts, bundled. */
  checker: string;
  directory: string;
  workers: number;
  sizes: readonly number[];
  note: (text: string) => void;
};

/** Makes, measures and checks each tree. */
export async function growth({ checker, directory, workers, sizes, note }: GrowthOptions): Promise<Report> {
  const root = join(directory, 'growth');
  const rules = rulesWith({ roots: [root] });
  const manifest = join(directory, 'growth.mtree');
  const points: { files: number; seconds: number; peakBytes: number; textBytes: number }[] = [];
  let made = 0;
  for (const files of sizes) {
    note(`${files} files ...`);
    for (; made < files; made += 1) {
      const within = join(root, `d${Math.floor(made / FILES_A_DIRECTORY)}`);
      if (made % FILES_A_DIRECTORY === 0) mkdirSync(within, { recursive: true });
      writeFileSync(join(within, `file-${made}`), `content of file ${made}\n`.repeat(20));
    }
    const text = formatManifest((await measureTree({ root: '/', rules, workers })).entries);
    writeFileSync(manifest, text);
    const child = fork(checker, ['/', root, manifest, `${workers}`]);
    const timings: CheckTiming[] = [];
    for (let i = 0; i < CHECKS; i += 1) {
      const answer = once(child, 'message');
      child.send('check');
      timings.push(((await answer) as [CheckTiming])[0]);
    }
    child.disconnect();
    points.push({
      files,
      seconds: median(timings.map(({ seconds }) => seconds)),
      peakBytes: Math.max(...timings.map(({ peakBytes }) => peakBytes)),
      textBytes: text.length,
    });
  }
  rmSync(root, { recursive: true });
  const [first = points[0], last = points[0]] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) throw new Error('nothing was measured');
  const cost = ({ files, seconds }: typeof first): number => seconds / files;
  const more = last.peakBytes - first.peakBytes - (last.textBytes - first.textBytes);
  return {
    bench: 'verify',
    goals: [
      goal(
        'a file of the largest tree beside one of the smallest',
        cost(last) / cost(first),
        'x',
        MOST_GROWTH,
        'most',
      ),
      goal(
        'memory a file, beyond the manifest',
        more / (last.files - first.files),
        'bytes',
        MOST_BYTES,
        'most',
      ),
    ],
    rows: points.map((point) => ({
      name: `${point.files} files, peak ${Math.round(point.peakBytes / 1e6)} MB`,
      cache: 'warm',
      seconds: round(point.seconds),
      ratio: round(cost(point) / cost(first)),
      runs: CHECKS,
    })),
  };
}

// How bench/verify.ts says what it measured: one JSON object, or a table that a person reads.

export type Row = { name: string; cache: string; seconds: number; ratio: number; runs: number };
export type Goal = { name: string; value: number; unit: string; goal: number; met: boolean };

/** What a run measured. `extra` are figures of our own check. */
export type Report = {
  bench: 'verify';
  goals: Goal[];
  rows: Row[];
  tree?: { root: string; files: number; bytes: number; entries: number; workers: number; reps: number };
  extra?: { parseSeconds: number; sweepSeconds: number; gigabytesPerSecond: number };
};

export function goal(name: string, value: number, unit: string, wanted: number, at: 'most' | 'least'): Goal {
  return {
    name,
    value: round(value),
    unit,
    goal: wanted,
    met: at === 'most' ? value <= wanted : value >= wanted,
  };
}

/** What several phases measured, as one. */
export function merged(reports: readonly Report[]): Report {
  const goals = reports.flatMap((report) => report.goals);
  const rows = reports.flatMap((report) => report.rows);
  return { ...reports[0], bench: 'verify', goals, rows };
}

export function print(report: Report, asJson: boolean): void {
  if (asJson) {
    console.log(JSON.stringify(report));
    return;
  }
  const { tree, extra, rows, goals } = report;
  if (tree !== undefined) {
    console.log(
      `${tree.root}: ${tree.files} files, ${(tree.bytes / 1e9).toFixed(2)} GB, ${tree.entries} entries`,
    );
  }
  for (const { name, cache, seconds, ratio, runs } of rows) {
    const counted = runs === 1 ? 'one run' : `median of ${runs}`;
    const figures = `${seconds.toFixed(2).padStart(7)} s  ${ratio.toFixed(2).padStart(6)} x`;
    console.log(`  ${name.padEnd(34)} ${cache.padEnd(4)} ${figures}  (${counted})`);
  }
  if (extra !== undefined) {
    const { parseSeconds, sweepSeconds, gigabytesPerSecond } = extra;
    console.log(
      `  parsing the manifest ${parseSeconds} s; a sweep ${sweepSeconds} s; ${gigabytesPerSecond} GB/s`,
    );
  }
  for (const { name, value, unit, goal: wanted, met } of goals) {
    console.log(`  ${met ? 'met    ' : 'NOT MET'} ${name}: ${value} ${unit}, goal ${wanted} ${unit}`);
  }
}

/** The middle value; of none, NaN. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** To three places. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

import { TYPE_FILE } from '../../manifest/packed-tree.ts';
import { type MeasureJob, PART_NUMBERS } from './measure-job.ts';

/** A stretch of parts, `[from, to)`, and its share of the whole: a paced run takes one after the other. */
export type Slice = { from: number; to: number; weight: number };

/** Slices of a run that looks at inodes: of about so many entries each, a few milliseconds of work. */
const LOOKED_ENTRIES = 1000;

/** Slices of a run that reads everything: of about so many bytes each, with what each entry costs beside them. */
const READ_BYTES = 4_000_000;
const ENTRY_BYTES = 20_000;

/** Slices for looking at the inode of everything. */
export function lookSlices(job: MeasureJob): Slice[] {
  return slicesOf(job, LOOKED_ENTRIES, () => 1);
}

/** Slices for reading everything. */
export function readSlices(job: MeasureJob): Slice[] {
  const { type, size } = job.tree;
  return slicesOf(
    job,
    READ_BYTES,
    (index) => ENTRY_BYTES + (type[index] === TYPE_FILE ? (size[index] ?? 0) : 0),
  );
}

function slicesOf({ parts, tree }: MeasureJob, target: number, costOf: (index: number) => number): Slice[] {
  const slices: Slice[] = [];
  const count = parts.length / PART_NUMBERS;
  let from = 0;
  let cost = 0;
  let total = 0;
  for (let part = 0; part < count; part += 1) {
    const at = part * PART_NUMBERS;
    cost += costOf(parts[at] ?? 0);
    for (let child = parts[at + 1] ?? 0; child < (parts[at + 2] ?? 0); child += 1) {
      cost += costOf(tree.childList[child] ?? 0);
    }
    if (cost < target && part < count - 1) continue;
    slices.push({ from, to: part + 1, weight: cost });
    total += cost;
    from = part + 1;
    cost = 0;
  }
  return slices.map((slice) => ({ ...slice, weight: slice.weight / total }));
}

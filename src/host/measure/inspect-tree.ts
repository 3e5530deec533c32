import type { Finding } from '../../base/finding.ts';
import { compareEntry } from '../../manifest/compare.ts';
import { TYPE_DIR, TYPE_FILE, TYPE_LINK, entryAt, linkBytesOf } from '../../manifest/packed-tree.ts';
import { packXattrs } from '../../manifest/xattr-blob.ts';
import { DirectoryStack } from './directory-stack.ts';
import { DirectoryInspector } from './inspect-directory.ts';
import { FileInspector } from './inspect-file.ts';
import { PairInspector } from './inspect-pairs.ts';
import { Inspection } from './inspection.ts';
import { pairedSha256, stat, xattrs } from './instruments.ts';
import { DT_REG, ENOENT, ENOTDIR } from '../kernel/linux.ts';
import {
  CONTROL_NEXT_UNIT,
  type MeasureAnswer,
  type MeasureJob,
  type MeasureRun,
  PART_NUMBERS,
  type Work,
} from './measure-job.ts';
import { readEntry, readLink } from './read-entry.ts';

/**
 * Does what `work` says and gives what was found; `onFirst` hears of the first finding at once. `thread` numbers
 * the caller from 0.
 */
export function inspectTree(
  job: MeasureJob,
  run: MeasureRun,
  work: Work,
  thread: number,
  onFirst: (finding: Finding) => void,
): MeasureAnswer {
  // A look at single entries may come amid a pass over all parts: its claims are its own.
  const own = work.kind === 'entries' ? { ...job, claimed: new Uint8Array(job.tree.count) } : job;
  const inspection = new Inspection(own, run, thread, onFirst);
  const inspector = new TreeInspector(inspection);
  switch (work.kind) {
    case 'units':
      takeUnits(inspection, inspector);
      break;
    case 'parts':
      inspector.inspect(work.from, work.to);
      break;
    case 'entries':
      for (const index of work.entries) inspector.inspectEntry(index);
      break;
  }
  inspector.close();
  inspection.rest();
  return inspection.answer();
}

/** Until none is left: the threads of a run share them. */
function takeUnits(on: Inspection, inspector: TreeInspector): void {
  const { control, units } = on.job;
  for (;;) {
    const unit = Atomics.add(control, CONTROL_NEXT_UNIT, 1);
    if (unit >= units.length / 2 || on.stopped) return;
    inspector.inspect(units[unit * 2] ?? 0, units[unit * 2 + 1] ?? 0);
  }
}

/** Walks the tree of the manifest, not what the disk shows: nothing that is not listed is ever descended into. */
class TreeInspector {
  readonly #on: Inspection;
  readonly #stack: DirectoryStack;
  readonly #directories: DirectoryInspector;
  readonly #files: FileInspector;
  /** For a full check, where this machine can: see `PairInspector`. */
  readonly #pairs: PairInspector | undefined;
  /** Files that it could not say were good. */
  #again: number[] = [];
  /** Files whose inode was being read by another name. */
  readonly #later: number[] = [];

  constructor(inspection: Inspection) {
    this.#on = inspection;
    this.#stack = new DirectoryStack(inspection.run.root, inspection.nameAddress);
    this.#directories = new DirectoryInspector(inspection);
    this.#files = new FileInspector(inspection);
    const sha = inspection.run.mode === 'full' ? pairedSha256() : undefined;
    const left = {
      again: (index: number) => void this.#again.push(index),
      later: (index: number) => void this.#later.push(index),
    };
    this.#pairs = sha && new PairInspector(inspection, sha, left);
  }

  /** Ends what is under way. */
  close(): void {
    this.#pairs?.finish();
    this.#lookAgain();
    for (const index of this.#later) this.inspectEntry(index);
    this.#stack.clear();
  }

  /** Inspects parts `[from, to)` of the job. */
  inspect(from: number, to: number): void {
    const { parts, tree } = this.#on.job;
    for (let part = from; part < to && !this.#on.stopped; part += 1) {
      const at = part * PART_NUMBERS;
      const directory = parts[at] ?? 0;
      const failed = this.#enter(directory);
      if (failed < 0) {
        this.#part(directory, parts[at + 1] ?? 0, parts[at + 2] ?? 0, parts[at + 3] === 1);
        this.#lookAgain();
        continue;
      }
      // Nothing below a directory that is not there can be looked at: its own finding stands for all.
      const end = tree.end[failed] ?? 0;
      while (part + 1 < to && (parts[(part + 1) * PART_NUMBERS] ?? 0) < end) part += 1;
    }
  }

  /** Inspects one entry; of a directory, its own state and the names in it, not what stands under them. */
  inspectEntry(index: number): void {
    const on = this.#on;
    const { tree } = on.job;
    const isDirectory = tree.type[index] === TYPE_DIR;
    if (on.stopped || this.#enter(isDirectory ? index : (tree.parent[index] ?? 0)) >= 0) return;
    const within = this.#stack.descriptor();
    if (within < 0) return on.reportUnreadable(index, -within);
    if (isDirectory) this.#directories.inspect(within, index);
    else this.#byInode(within, index, this.#files);
  }

  /** Opens the way to `directory`; -1, or the index of the one on the way that can't be opened. */
  #enter(directory: number): number {
    const { tree } = this.#on.job;
    const stack = this.#stack;
    while (directory < stack.top || directory >= (tree.end[stack.top] ?? 0)) stack.pop();
    const way: number[] = [];
    for (let at = directory; at !== stack.top; at = tree.parent[at] ?? 0) way.push(at);
    for (const index of way.reverse()) {
      const error = stack.push(index);
      if (error === 0) continue;
      this.#cannotEnter(index, error);
      return index;
    }
    return -1;
  }

  #cannotEnter(index: number, error: number): void {
    const on = this.#on;
    const within = this.#stack.descriptor();
    const expected = entryAt(on.job.tree, index);
    const actual =
      within < 0 ? -within : readEntry(within, on.nameAddress(index), on.name(index), expected.path);
    if (actual === ENOENT || actual === ENOTDIR) on.reportMissing(index);
    else if (typeof actual === 'number' || actual.type === 'dir') on.reportUnreadable(index, error);
    else on.report(index, compareEntry(expected, actual, on.run.at));
  }

  #part(directory: number, from: number, to: number, lists: boolean): void {
    const on = this.#on;
    const { tree } = on.job;
    const within = this.#stack.descriptor();
    if (within < 0) return on.reportUnreadable(directory, -within);
    if (lists) this.#directories.inspect(within, directory);
    else this.#directories.skip();
    const first = tree.childAt[directory] ?? 0;
    const files = this.#pairs ?? this.#files;
    for (let at = from; at < to && !on.stopped; at += 1) {
      const child = tree.childList[at] ?? 0;
      if (tree.type[child] === TYPE_DIR) continue;
      // What the listing just called a regular file may be opened at once; of anything else the inode is
      // asked first, so that no device or socket is opened.
      if (
        on.run.mode !== 'sweep' &&
        tree.type[child] === TYPE_FILE &&
        this.#directories.typeAt(at - first) === DT_REG
      ) {
        files.inspect(within, child);
      } else {
        this.#byInode(within, child, files);
      }
    }
  }

  /** Looks at each file that was not good when it was read as one of two, alone and from the start. */
  #lookAgain(): void {
    const again = this.#again;
    if (again.length === 0) return;
    this.#again = [];
    for (const index of again) this.inspectEntry(index);
  }

  #byInode(within: number, index: number, files: PairInspector | FileInspector): void {
    const on = this.#on;
    const { tree } = on.job;
    const error = stat.at(within, on.nameAddress(index));
    if (error === ENOENT || error === ENOTDIR) return on.reportMissing(index);
    if (error !== 0) return on.reportUnreadable(index, error);
    on.noteMount(index);
    if (on.run.mode === 'sweep' && on.isUnchanged(index)) return;
    if (tree.type[index] === TYPE_FILE && stat.type === TYPE_FILE) return files.inspect(within, index);
    if (this.#isSameLink(within, index)) return on.remember(index);
    this.#unopened(within, index);
  }

  /** Whether entry `index` is a link, `stat` is of it, and all of it is as expected: the short way for most. */
  #isSameLink(within: number, index: number): boolean {
    const on = this.#on;
    const { tree } = on.job;
    if (on.run.mode === 'measure' || tree.type[index] !== TYPE_LINK || stat.type !== TYPE_LINK) return false;
    if (!on.metadataMatches(index)) return false;
    const target = readLink(within, on.nameAddress(index));
    if (typeof target === 'number' || Buffer.compare(target, linkBytesOf(tree, index)) !== 0) return false;
    const attributes = xattrs.ofName(within, on.name(index));
    return xattrs.error === 0 && on.xattrsMatch(index, attributes);
  }

  /** Compares what is never opened: links, devices, FIFOs, sockets, and whatever took the place of another. */
  #unopened(within: number, index: number): void {
    const on = this.#on;
    const { tree } = on.job;
    on.forget(index);
    const expected = entryAt(tree, index);
    const actual = readEntry(within, on.nameAddress(index), on.name(index), expected.path);
    if (typeof actual === 'number') {
      if (actual === ENOENT || actual === ENOTDIR) on.reportMissing(index);
      else on.reportUnreadable(index, actual);
      return;
    }
    if (on.run.mode === 'measure') on.xattrsMatch(index, packXattrs(actual.xattrs ?? new Map()));
    const findings = compareEntry(
      expected,
      on.run.mode === 'measure' ? { ...actual, xattrs: new Map() } : actual,
      on.run.at,
    );
    if (findings.length > 0) on.report(index, findings);
    else on.remember(index);
  }
}

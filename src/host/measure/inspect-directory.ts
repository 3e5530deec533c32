import { type BytePath, joinPath } from '../../base/byte-path.ts';
import {
  absentFinding,
  compareEntry,
  describeEntry,
  racedFinding,
  unexpectedFinding,
} from '../../manifest/compare.ts';
import { ENTRY_TYPES, type Entry } from '../../manifest/entry.ts';
import { entryAt, findChildPlace, pathOf } from '../../manifest/packed-tree.ts';
import { unpackXattrs } from '../../manifest/xattr-blob.ts';
import { FindingList } from './finding-list.ts';
import { READ_TRIES } from './inspect-file.ts';
import type { Inspection } from './inspection.ts';
import { lister, stat, xattrs } from './instruments.ts';
import { DT_UNKNOWN, lseek } from '../kernel/linux.ts';
import { SCOPE_MUTABLE, SCOPE_OPEN } from './measure-job.ts';
import { entryOfStat, readEntry } from './read-entry.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/** Checks directories of one run: each one's own state, and that it holds no name which is not in the tree. */
export class DirectoryInspector {
  readonly #on: Inspection;
  readonly #before = new Uint32Array(STAMP_WORDS);
  // For the directory listed last: the type (dirent.h) of each of its entries, from its first in `childList`.
  #types = new Uint8Array(1024);
  #listed = false;
  readonly #absent: ReadonlySet<BytePath>;
  readonly #files: ReadonlySet<BytePath>;

  constructor(inspection: Inspection) {
    this.#on = inspection;
    this.#absent = new Set(inspection.job.absent);
    this.#files = new Set(inspection.job.files);
  }

  /** The type that the listing just made gave the entry, `position` from the directory's first; else unknown. */
  typeAt(position: number): number {
    return this.#listed ? (this.#types[position] ?? DT_UNKNOWN) : DT_UNKNOWN;
  }

  /** Forgets the listing: what follows belongs to another directory. */
  skip(): void {
    this.#listed = false;
  }

  /** Checks the open directory `index` and lists it. */
  inspect(descriptor: number, index: number): void {
    const on = this.#on;
    this.#listed = false;
    const error = stat.of(descriptor);
    if (error !== 0) return on.reportUnreadable(index, error);
    const scope = on.job.scope[index] ?? 0;
    // What is mounted on a mutable directory (/proc, /run, /tmp) brings a mode and an owner of its own, which
    // the image can't know; all that lies there is mutable anyway.
    if ((scope & SCOPE_MUTABLE) !== 0 && stat.isMountRoot) return;
    on.noteMount(index);
    if (on.run.mode === 'sweep' && on.isUnchanged(index)) return;
    on.forget(index);
    const attributes = xattrs.ofDescriptor(descriptor);
    if (xattrs.error !== 0) return on.reportUnreadable(index, xattrs.error);
    const good = on.metadataMatches(index) && on.xattrsMatch(index, attributes);
    if (!good) {
      const actual = entryOfStat(pathOf(on.job.tree, index));
      if (attributes.length > 0) actual.xattrs = unpackXattrs(attributes);
      on.report(index, compareEntry(entryAt(on.job.tree, index), actual, on.run.at));
    }
    const open = (scope & SCOPE_OPEN) !== 0;
    if ((open || this.#holdsNoStranger(descriptor, index)) && good) on.remember(index);
  }

  /** Lists until the directory does not change meanwhile; `stat` holds its state then. */
  #holdsNoStranger(descriptor: number, index: number): boolean {
    const on = this.#on;
    for (let tries = 1; ; tries += 1) {
      stat.stamp(this.#before, 0);
      const strangers = new FindingList();
      const error = this.#list(descriptor, index, strangers);
      if (error !== 0) {
        on.reportUnreadable(index, error);
        return false;
      }
      const same = stat.of(descriptor) === 0 && stat.matches(this.#before, 0);
      if (!same && tries < READ_TRIES) continue;
      if (strangers.total > 0) on.findings.merge(strangers.first(), strangers.total);
      if (!same) {
        const expected = entryAt(on.job.tree, index);
        on.report(index, [racedFinding(expected.path, describeEntry(expected), tries, on.run.at)]);
      }
      return same && strangers.total === 0;
    }
  }

  #list(descriptor: number, index: number, strangers: FindingList): number {
    const { tree } = this.#on.job;
    const first = tree.childAt[index] ?? 0;
    const count = (tree.childAt[index + 1] ?? 0) - first;
    if (this.#types.length < count) this.#types = new Uint8Array(count);
    this.#types.fill(DT_UNKNOWN, 0, count);
    this.#listed = true;
    lseek(descriptor, 0, 0);
    return lister.list(descriptor, (bytes, from, to, type, address) => {
      const place = findChildPlace(tree, index, bytes, from, to);
      if (place >= 0) this.#types[place - first] = type;
      else this.#stranger(descriptor, index, bytes.toString('latin1', from, to), type, address, strangers);
    });
  }

  #stranger(
    descriptor: number,
    index: number,
    name: string,
    type: number,
    address: number,
    strangers: FindingList,
  ): void {
    const path = joinPath(pathOf(this.#on.job.tree, index), name);
    if (this.#files.has(path)) return;
    const found = readEntry(descriptor, address, name, path);
    // What is gone again, or can't be looked at, was there by its name, and that is enough.
    const entry: Entry =
      typeof found === 'number' ? { path, type: typeOf(type), mode: 0, uid: 0, gid: 0 } : found;
    const { at } = this.#on.run;
    const absent = this.#absent.has(path);
    strangers.add(path, absent ? absentFinding(entry, at) : unexpectedFinding(entry, at));
  }
}

/** A type of dirent.h, which is the type of a mode without its shift, in words. */
function typeOf(type: number): Entry['type'] {
  const words: Readonly<Record<number, Entry['type']>> = {
    1: 'fifo',
    2: 'char',
    4: 'dir',
    6: 'block',
    10: 'link',
    12: 'socket',
  };
  return words[type] ?? ENTRY_TYPES[0];
}

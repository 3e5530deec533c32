import { TYPE_DIR, findChild } from '../../manifest/packed-tree.ts';
import { DirectoryStack } from '../measure/directory-stack.ts';
import {
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_ISDIR,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_MOVE_SELF,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
  addWatch,
  openInotify,
  readEvents,
} from './inotify.ts';
import {
  EINTR,
  ENOSPC,
  Pinned,
  addressOf,
  close,
  errno,
  errnoName,
  inotifyRemoveWatch,
  poll,
} from '../kernel/linux.ts';
import { type MeasureJob, SCOPE_MUTABLE, SCOPE_OPEN, SCOPE_OPTIONAL } from '../measure/measure-job.ts';
import { openRoot } from '../measure/open-root.ts';

/** What a watching thread is given. */
export type WatchJob = {
  root: string;
  tree: MeasureJob['tree'];
  scope: Uint8Array;
  /** Index of the bundle's directory, whose content is not in the tree; -1 where it is not measured. */
  bundle: number;
  control: Int32Array;
  /** An eventfd that becomes readable when the thread is to end. */
  stop: number;
};

/** Places in `WatchJob.control`. */
export const WATCH_BEATS = 0;
/** Messages that were sent and not yet dealt with. */
export const WATCH_WAITING = 1;
export const WATCH_STOP = 2;

/** What a watching thread says. */
export type WatchNews =
  /** The watches stand, as far as the kernel granted them; `error` is the errno's name where it did not. */
  | { kind: 'placed'; held: number; wanted: number; error?: string }
  /** Something happened to these entries, ascending; a directory: to itself or to names that are not in the tree. */
  | { kind: 'changed'; entries: Uint32Array; bundle: boolean; events: number }
  /**
   * Events were lost, or could be lost: everything must be looked at. `unmounted`: also what looks as it did, since a
   * file system went away, and what is mounted in its place may have other content under the same inodes.
   */
  | { kind: 'missed'; why: string; overflow: boolean; unmounted: boolean };

/** A beat this often, also where nothing happens. */
const BEAT_MS = 1000;
/** After a failure (a limit of the kernel, say) watches are placed again this much later. */
const RETRY_MS = 600_000;
/** Watches that were lost are placed again, but not more often than this. */
const REPLACE_MS = 1000;
/** Messages on their way at most; then the kernel's own queue fills, which is bounded and tells when it is full. */
const MAX_WAITING = 4;

const STRUCTURE = IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE;
const LOST = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;

/**
 * Watches every measured directory until it is told to stop; blocks the thread. It reads events and says which
 * entries they concern; it looks at nothing itself, so that its queue is read whatever the disk does.
 */
export function watchUntilStopped(job: WatchJob, say: (news: WatchNews) => void): void {
  const watcher = new Watcher(job, say);
  try {
    while (Atomics.load(job.control, WATCH_STOP) === 0) watcher.step();
  } finally {
    watcher.close();
  }
}

class Watcher {
  readonly #job: WatchJob;
  readonly #say: (news: WatchNews) => void;
  readonly #names: number;
  /** struct pollfd twice: descriptor, events asked for, events returned. */
  readonly #polled = new Pinned(16);
  #inotify = -1;
  #directoryOf = new Map<number, number>();
  /** Watches of inodes that stand at two places of the tree: an event there does not say at which. */
  #shared = new Set<number>();
  #placeAt = 0;
  #missed: { why: string; overflow: boolean; unmounted: boolean } | undefined;
  #entries = new Set<number>();
  #bundle = false;

  constructor(job: WatchJob, say: (news: WatchNews) => void) {
    this.#job = job;
    this.#say = say;
    this.#names = addressOf(job.tree.names);
  }

  close(): void {
    if (this.#inotify >= 0) close(this.#inotify);
  }

  /** Places watches where that is due, waits for events, at most a beat long, and tells of them. */
  step(): void {
    Atomics.add(this.#job.control, WATCH_BEATS, 1);
    if (performance.now() >= this.#placeAt) this.#place();
    if (!this.#wait()) return;
    const events = readEvents(this.#inotify, (wd, mask, bytes, from, to) =>
      this.#see(wd, mask, bytes, from, to),
    );
    if (events < 0) {
      this.#miss(`reading events failed: ${errnoName(-events)}`);
      close(this.#inotify);
      this.#inotify = -1;
    }
    this.#tell(Math.max(0, events));
  }

  #wait(): boolean {
    const view = new DataView(this.#polled.bytes.buffer);
    const POLLIN = 1;
    view.setInt32(0, this.#job.stop, true);
    view.setInt16(4, POLLIN, true);
    // A negative descriptor is passed over (poll(2)).
    view.setInt32(8, this.#inotify, true);
    view.setInt16(12, POLLIN, true);
    view.setInt16(14, 0, true);
    const left = Math.max(1, Math.min(BEAT_MS, this.#placeAt - performance.now()));
    const ready = poll(this.#polled.address, 2, left);
    if (ready < 0 && errno() !== EINTR) throw new Error(`poll failed: ${errnoName(errno())}`);
    return ready > 0 && this.#inotify >= 0 && view.getInt16(14, true) !== 0;
  }

  #see(wd: number, mask: number, bytes: Uint8Array, from: number, to: number): void {
    if ((mask & IN_Q_OVERFLOW) !== 0)
      return this.#miss('more events came than the kernel keeps', { overflow: true });
    const directory = this.#directoryOf.get(wd);
    if (directory === undefined) return;
    if (this.#shared.has(wd)) this.#miss('a directory that stands at two places changed');
    const { tree, scope, bundle } = this.#job;
    if (directory === bundle) this.#bundle = true;
    if ((mask & LOST) !== 0) {
      const unmounted = (mask & IN_UNMOUNT) !== 0;
      this.#miss('a watched directory is no longer where it was', { unmounted });
    }
    if ((mask & IN_IGNORED) !== 0) this.#directoryOf.delete(wd);
    if (from === to) return void this.#entries.add(directory);
    const child = findChild(tree, directory, bytes, from, to);
    if (child < 0) {
      if (((scope[directory] ?? 0) & SCOPE_OPEN) === 0) this.#entries.add(directory);
      return;
    }
    this.#entries.add(child);
    // Another directory may stand there now, with nobody watching it nor what is below.
    if ((mask & IN_ISDIR) !== 0 && (mask & STRUCTURE) !== 0) this.#miss('a directory came or went');
  }

  #miss(why: string, { overflow = false, unmounted = false } = {}): void {
    this.#missed ??= { why, overflow, unmounted };
    if (overflow) this.#missed.overflow = true;
    if (unmounted) this.#missed.unmounted = true;
    // After an overflow the watches still stand; but what was missed may be that one was lost.
    this.#placeAt = Math.min(this.#placeAt, performance.now() + REPLACE_MS);
  }

  #tell(events: number): void {
    const missed = this.#missed;
    if (missed !== undefined) this.#send({ kind: 'missed', ...missed });
    if (this.#entries.size > 0 || this.#bundle) {
      const entries = Uint32Array.from(this.#entries).sort();
      this.#send({ kind: 'changed', entries, bundle: this.#bundle, events });
    }
    this.#missed = undefined;
    this.#entries.clear();
    this.#bundle = false;
  }

  /** Waits until few messages are on their way. */
  #send(news: WatchNews): void {
    const { control } = this.#job;
    for (;;) {
      const waiting = Atomics.load(control, WATCH_WAITING);
      if (waiting < MAX_WAITING || Atomics.load(control, WATCH_STOP) !== 0) break;
      Atomics.wait(control, WATCH_WAITING, waiting, BEAT_MS);
      Atomics.add(control, WATCH_BEATS, 1);
    }
    Atomics.add(control, WATCH_WAITING, 1);
    this.#say(news);
  }

  #place(): void {
    const before = this.#directoryOf;
    this.#directoryOf = new Map();
    this.#shared = new Set();
    if (this.#inotify < 0) this.#inotify = openInotify();
    const placed = this.#placeAll();
    for (const wd of before.keys()) {
      if (!this.#directoryOf.has(wd)) inotifyRemoveWatch(this.#inotify, wd);
    }
    const isWhole = placed.error === undefined;
    this.#placeAt = isWhole ? Number.POSITIVE_INFINITY : performance.now() + RETRY_MS;
    this.#send({ kind: 'placed', ...placed });
  }

  #placeAll(): { held: number; wanted: number; error?: string } {
    const { tree, scope } = this.#job;
    let held = 0;
    let wanted = 0;
    let error = Math.max(0, -this.#inotify);
    const root = openRoot(this.#job.root);
    const stack = new DirectoryStack(root, (index) => this.#names + (tree.nameAt[index] ?? 0));
    try {
      for (let index = 0; index < tree.count; index += 1) {
        if (tree.type[index] !== TYPE_DIR) continue;
        Atomics.add(this.#job.control, WATCH_BEATS, 1);
        while (index >= (tree.end[stack.top] ?? 0)) stack.pop();
        const bits = scope[index] ?? 0;
        const isWatched = (bits & SCOPE_MUTABLE) === 0;
        const opened = index === 0 ? 0 : stack.push(index);
        if (opened === 0) {
          if (!isWatched) continue;
          wanted += 1;
          // Where the kernel grants no more, it is asked no more; the rest is counted.
          if (error === ENOSPC || this.#inotify < 0) continue;
          const failed = this.#add(stack.descriptor(), index);
          if (failed === 0) held += 1;
          else error ||= failed;
          continue;
        }
        // What is below can't be reached either. The sweep finds what is wrong here, if anything is.
        if ((bits & SCOPE_OPTIONAL) === 0) {
          error ||= opened;
          wanted += directoriesWithin(tree, index);
        }
        index = (tree.end[index] ?? 0) - 1;
      }
    } finally {
      stack.clear();
      close(root);
    }
    return { held, wanted, ...(error === 0 ? {} : { error: errnoName(error) }) };
  }

  /** 0, or the errno. */
  #add(directory: number, index: number): number {
    if (directory < 0) return -directory;
    const wd = addWatch(this.#inotify, directory);
    if (wd < 0) return -wd;
    if (this.#directoryOf.has(wd)) this.#shared.add(wd);
    this.#directoryOf.set(wd, index);
    return 0;
  }
}

function directoriesWithin(tree: WatchJob['tree'], index: number): number {
  let count = 0;
  for (let at = index; at < (tree.end[index] ?? 0); at += 1) if (tree.type[at] === TYPE_DIR) count += 1;
  return count;
}

import { TYPE_FILE } from '../../manifest/packed-tree.ts';
import { FileLane } from './file-lane.ts';
import type { Inspection } from './inspection.ts';
import { stat, xattrs } from './instruments.ts';
import { LinkedDigests } from './linked-digests.ts';
import { close } from '../kernel/linux.ts';
import { CONTROL_WAITS } from './measure-job.ts';
import { openFile } from './open-file.ts';
import type { PairedSha256 } from './paired-sha256.ts';
import { readAhead } from './read-ahead.ts';

/** Files that wait for the disk at once, for each thread: enough for a disk to be busy while others are hashed. */
const MAX_WAITING = 64;

/** A file that was asked for and is not read yet. */
type Waiting = { descriptor: number; index: number; stamp: Uint32Array; place: number };

/** What becomes of a file that is not known to be good. */
export type Left = {
  /** To be looked at again soon. */
  again: (index: number) => void;
  /** Its inode is being read by another name: to be looked at when all are read. */
  later: (index: number) => void;
};

/**
 * Checks regular files two at a time, as fast as one thread can, and can say one thing only: that a file is
 * good. Whatever else it meets (cannot open, other type or size, changed meanwhile, other content or metadata)
 * it leaves, to be looked at by `FileInspector` from the start, which makes the findings. So a digest
 * that was wrong here would cost time, never a verdict.
 */
export class PairInspector {
  readonly #on: Inspection;
  readonly #sha: PairedSha256;
  readonly #left: Left;
  readonly #first: FileLane;
  readonly #second: FileLane;
  readonly #linked: LinkedDigests;
  /** The manifest's. */
  readonly #digests: DataView;
  readonly #waiting: Waiting[] = [];

  constructor(inspection: Inspection, sha: PairedSha256, left: Left) {
    this.#on = inspection;
    this.#sha = sha;
    this.#left = left;
    [this.#first, this.#second] = lanesOfThread();
    const { linked, tree } = inspection.job;
    this.#linked = new LinkedDigests(linked);
    const { buffer, byteOffset, byteLength } = tree.digest;
    this.#digests = new DataView(buffer, byteOffset, byteLength);
  }

  /** Takes entry `index`, a file, in its open directory. What becomes of it may be known only later. */
  inspect(directory: number, index: number): void {
    const on = this.#on;
    on.forget(index);
    // Before the file is looked at: to free a lane, another is looked at with the same instruments.
    const lane = this.#freeLane();
    const opened = openFile(directory, on.nameAddress(index));
    if (opened < 0) return this.#left.again(index);
    const size = on.job.tree.size[index] ?? 0;
    if (stat.of(opened) !== 0 || stat.type !== TYPE_FILE || stat.size !== size) {
      return this.#leave(opened, index);
    }
    on.noteMount(index);
    stat.stamp(lane.stamp, 0);
    const kernel = on.askKernel(index, opened);
    if (kernel === 'other') return this.#leave(opened, index);
    if (kernel === 'same') {
      if (this.#judge(opened, index, lane.stamp)) on.vouched += 1;
      return;
    }
    let place = -1;
    if (stat.nlink > 1) {
      const known = this.#linked.find(lane.stamp);
      ({ place } = this.#linked);
      if (known === 'reading') {
        close(opened);
        return this.#left.later(index);
      }
      if (known === 'read') {
        on.countBytes(size);
        if (on.digestMatches(index, this.#linked.digestAt(place))) this.#judge(opened, index, lane.stamp);
        else this.#leave(opened, index);
        return;
      }
    }
    this.#sha.start(lane.number);
    lane.begin(opened, index, size, place);
    const length = lane.readAtHand();
    if (length >= 0) return this.#took(lane, length);
    lane.end();
    readAhead(opened, size);
    Atomics.add(on.job.control, CONTROL_WAITS, 1);
    this.#waiting.push({ descriptor: opened, index, stamp: lane.stamp.slice(), place });
    if (this.#waiting.length > MAX_WAITING) this.#takeWaiting();
  }

  /** Takes the file that waits longest. */
  #takeWaiting(): void {
    const first = this.#waiting.shift();
    if (first === undefined) return;
    const lane = this.#freeLane();
    const { descriptor, index, stamp, place } = first;
    lane.stamp.set(stamp);
    this.#sha.start(lane.number);
    lane.begin(descriptor, index, this.#on.job.tree.size[index] ?? 0, place);
    this.#took(lane, lane.read());
  }

  /** Takes what is under way to its end. */
  finish(): void {
    while (this.#waiting.length > 0) this.#takeWaiting();
    while (this.#first.index >= 0 || this.#second.index >= 0) this.#advance();
  }

  #freeLane(): FileLane {
    const [first, second] = [this.#first, this.#second];
    while (first.index >= 0 && second.index >= 0) this.#advance();
    return first.index < 0 ? first : second;
  }

  /** Hashes what both lanes hold, as far as the shorter one goes, or what the only one holds. */
  #advance(): void {
    const [first, second] = [this.#first, this.#second];
    if (first.index >= 0 && second.index >= 0) {
      const blocks = Math.min(first.blocks, second.blocks);
      this.#sha.both(first.address, second.address, blocks);
      first.take(blocks);
      second.take(blocks);
      if (first.blocks === 0) this.#refill(first);
      if (second.blocks === 0) this.#refill(second);
      return;
    }
    const alone = first.index >= 0 ? first : second;
    this.#sha.single(alone.number, alone.address, alone.blocks);
    alone.take(alone.blocks);
    this.#refill(alone);
  }

  #refill(lane: FileLane): void {
    if (!lane.isRead) return this.#took(lane, lane.read());
    const { descriptor, index, place } = lane;
    lane.end();
    if (!this.#sha.isDigest(lane.number, this.#digests, index * 32)) return this.#leave(descriptor, index);
    if (this.#judge(descriptor, index, lane.stamp) && place >= 0) {
      this.#linked.settle(place, this.#on.digestOf(index));
    }
  }

  /** Goes on with what was read, unless it could not be or the run was stopped. */
  #took(lane: FileLane, length: number): void {
    if (length >= 0 && this.#on.countBytes(length)) return;
    const { descriptor, index } = lane;
    lane.end();
    this.#leave(descriptor, index);
  }

  /** Of a file whose content is right: all else must be what is expected, and the inode as it was before. */
  #judge(descriptor: number, index: number, before: Uint32Array): boolean {
    const on = this.#on;
    const attributes = xattrs.ofDescriptor(descriptor);
    const good =
      xattrs.error === 0 &&
      on.xattrsMatch(index, attributes) &&
      stat.of(descriptor) === 0 &&
      stat.matches(before, 0) &&
      on.metadataMatches(index);
    if (!good) {
      this.#leave(descriptor, index);
      return false;
    }
    close(descriptor);
    on.remember(index);
    on.countFile();
    return true;
  }

  #leave(descriptor: number, index: number): void {
    close(descriptor);
    this.#left.again(index);
  }
}

let lanes: readonly [FileLane, FileLane] | undefined;

/** Two lanes for each thread, used again in every run. */
function lanesOfThread(): readonly [FileLane, FileLane] {
  lanes ??= [new FileLane(0), new FileLane(1)];
  return lanes;
}

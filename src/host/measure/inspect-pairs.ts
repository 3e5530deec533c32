import { TYPE_FILE } from '../../manifest/packed-tree.ts';
import { FileLane } from './file-lane.ts';
import type { Inspection } from './inspection.ts';
import { stat, xattrs } from './instruments.ts';
import { LinkedDigests } from './linked-digests.ts';
import { close } from '../kernel/linux.ts';
import { CONTROL_WAITS } from './measure-job.ts';
import { openFile } from './open-file.ts';
import type { PairedSha256 } from './paired-sha256.ts';
import { isAtHand } from './read-ahead.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/** Files that wait for the disk at once, for each thread: enough for a disk to be busy while others are hashed. */
const MAX_WAITING = 64;

/** A file that was asked for and is not read yet. */
type Waiting = { descriptor: number; index: number; stamp: Uint32Array; place: number };

/**
 * Checks regular files two at a time, as fast as one thread can, and can say one thing only: that a file is
 * good. Whatever else it meets (cannot open, other type or size, changed meanwhile, other content or metadata)
 * it hands to `again`, to be looked at by `FileInspector` from the start, which makes the findings. So a digest
 * that was wrong here would cost time, never a verdict.
 */
export class PairInspector {
  readonly #on: Inspection;
  readonly #sha: PairedSha256;
  readonly #again: (index: number) => void;
  readonly #lanes: readonly [FileLane, FileLane];
  readonly #linked: LinkedDigests;
  readonly #stamp = new Uint32Array(STAMP_WORDS);
  readonly #digest = new Uint8Array(32);
  readonly #waiting: Waiting[] = [];

  constructor(inspection: Inspection, sha: PairedSha256, again: (index: number) => void) {
    this.#on = inspection;
    this.#sha = sha;
    this.#again = again;
    this.#lanes = lanesOfThread();
    this.#linked = new LinkedDigests(inspection.job.linked);
  }

  /** Takes entry `index`, a file, in its open directory. What becomes of it may be known only later. */
  inspect(directory: number, index: number): void {
    const on = this.#on;
    on.forget(index);
    const opened = openFile(directory, on.nameAddress(index));
    if (opened < 0) return this.#again(index);
    if (stat.of(opened) !== 0 || stat.type !== TYPE_FILE || stat.size !== on.job.tree.size[index]) {
      return this.#leave(opened, index);
    }
    on.noteMount(index);
    stat.stamp(this.#stamp, 0);
    const kernel = on.askKernel(index, opened);
    if (kernel === 'other') return this.#leave(opened, index);
    if (kernel === 'same') {
      if (this.#judge(opened, index, this.#stamp, on.digestOf(index))) on.vouched += 1;
      return;
    }
    let place = -1;
    if (stat.nlink > 1) {
      const known = this.#linked.find(this.#stamp);
      ({ place } = this.#linked);
      // Someone is at it: by the time this one is looked at again, that is done.
      if (known === 'reading') return this.#leave(opened, index);
      if (known === 'read') {
        on.countBytes(stat.size);
        this.#judge(opened, index, this.#stamp, this.#linked.digestAt(place));
        return;
      }
    }
    if (isAtHand(opened, stat.size)) return this.#begin(opened, index, this.#stamp, place);
    Atomics.add(on.job.control, CONTROL_WAITS, 1);
    this.#waiting.push({ descriptor: opened, index, stamp: this.#stamp.slice(), place });
    if (this.#waiting.length > MAX_WAITING) this.#takeWaiting();
  }

  #begin(descriptor: number, index: number, stamp: Uint32Array, place: number): void {
    const lane = this.#freeLane();
    this.#sha.start(lane);
    this.#lanes[lane]?.begin(descriptor, index, this.#on.job.tree.size[index] ?? 0, stamp, place);
    this.#refill(lane);
  }

  /** Takes the file that waits longest. */
  #takeWaiting(): void {
    const first = this.#waiting.shift();
    if (first !== undefined) this.#begin(first.descriptor, first.index, first.stamp, first.place);
  }

  /** Takes what is under way to its end. */
  finish(): void {
    while (this.#waiting.length > 0) this.#takeWaiting();
    while (this.#lanes.some(({ index }) => index >= 0)) this.#advance();
  }

  #freeLane(): number {
    for (;;) {
      const free = this.#lanes.findIndex(({ index }) => index < 0);
      if (free >= 0) return free;
      this.#advance();
    }
  }

  /** Hashes what both lanes hold, as far as the shorter one goes, or what the only one holds. */
  #advance(): void {
    const [first, second] = this.#lanes;
    if (first.index >= 0 && second.index >= 0) {
      const blocks = Math.min(first.blocks, second.blocks);
      this.#sha.both(first.address, second.address, blocks);
      first.take(blocks);
      second.take(blocks);
      if (first.blocks === 0) this.#refill(0);
      if (second.blocks === 0) this.#refill(1);
      return;
    }
    const lane = first.index >= 0 ? 0 : 1;
    const alone = this.#lanes[lane] ?? first;
    this.#sha.single(lane, alone.address, alone.blocks);
    alone.take(alone.blocks);
    this.#refill(lane);
  }

  #refill(number: number): void {
    const lane = this.#lanes[number];
    if (lane === undefined) return;
    const { descriptor, index } = lane;
    if (lane.isRead) {
      this.#sha.digest(number, this.#digest, 0);
      lane.end();
      this.#judge(descriptor, index, lane.stamp, this.#digest, lane.place);
      return;
    }
    const length = lane.read();
    if (length >= 0 && this.#on.countBytes(length)) return;
    lane.end();
    this.#leave(descriptor, index);
  }

  /** All that was read must be what is expected, and the inode as it was before. */
  #judge(descriptor: number, index: number, before: Uint32Array, digest: Uint8Array, place = -1): boolean {
    const on = this.#on;
    const attributes = xattrs.ofDescriptor(descriptor);
    const good =
      xattrs.error === 0 &&
      on.xattrsMatch(index, attributes) &&
      stat.of(descriptor) === 0 &&
      stat.matches(before, 0) &&
      on.metadataMatches(index) &&
      on.digestMatches(index, digest);
    if (!good) {
      this.#leave(descriptor, index);
      return false;
    }
    this.#linked.settle(place, digest);
    close(descriptor);
    on.remember(index);
    on.countFile();
    return true;
  }

  #leave(descriptor: number, index: number): void {
    close(descriptor);
    this.#again(index);
  }
}

let lanes: readonly [FileLane, FileLane] | undefined;

/** Two lanes for each thread, used again in every run. */
function lanesOfThread(): readonly [FileLane, FileLane] {
  lanes ??= [new FileLane(), new FileLane()];
  return lanes;
}

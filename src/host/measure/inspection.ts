import type { Finding } from '../../base/finding.ts';
import { missingFinding, unreadableFinding } from '../../manifest/compare.ts';
import {
  TYPE_DIR,
  TYPE_FILE,
  entryAt,
  nameOf,
  pathOf,
  verityOf,
  xattrBytesOf,
} from '../../manifest/packed-tree.ts';
import { FindingList } from './finding-list.ts';
import { kernelVerity, stat } from './instruments.ts';
import { addressOf, errnoName } from '../kernel/linux.ts';
import {
  CONTROL_STOP,
  COUNTER_STRIDE,
  type MeasureAnswer,
  type MeasureJob,
  type MeasureRun,
  SCOPE_OPTIONAL,
} from './measure-job.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/**
 * A file that changed this recently is read again in the next sweep whatever its times say then: two writes in
 * one tick of the kernel's clock leave the same change time, and writes through a memory map change it only
 * when the kernel next writes the page back (30 s and a 5 s scan: vm.dirty_expire_centisecs).
 */
const SETTLE_SECONDS = 40;

/** Mounts noted in a run; a tree with more is one that a release describes mount by mount, or drift already. */
const MAX_MOUNTS_NOTED = 1024;

/** A thread that takes a share of a core works this long between two rests, in milliseconds. */
const REST_AFTER_MS = 5;

/** One run as one thread sees it: what to compare against, and what was found. */
export class Inspection {
  readonly job: MeasureJob;
  readonly run: MeasureRun;
  readonly findings: FindingList;
  readonly xattrs: MeasureAnswer['xattrs'] = [];
  /** Bytes read with O_DIRECT. */
  direct = 0;
  /** Files that the kernel vouched for. */
  vouched = 0;
  readonly #mounts = new Map<number, number>();
  #mount = 0;
  readonly #counters: number;
  readonly #names: number;
  readonly #began: number;
  #busySince = performance.now();

  constructor(job: MeasureJob, run: MeasureRun, thread: number, onFirst: (finding: Finding) => void) {
    this.job = job;
    this.run = run;
    this.#counters = thread * COUNTER_STRIDE;
    this.findings = new FindingList(onFirst);
    this.#names = addressOf(job.tree.names);
    this.#began = this.#now();
  }

  /** Where the entry's NUL-terminated name stands in memory. */
  readonly nameAddress = (index: number): number => this.#names + (this.job.tree.nameAt[index] ?? 0);

  get stopped(): boolean {
    return Atomics.load(this.job.control, CONTROL_STOP) !== 0;
  }

  /** Counts bytes read; says whether to go on. */
  readonly countBytes = (bytes: number): boolean => {
    const at = this.#counters + 1;
    this.job.counters[at] = (this.job.counters[at] ?? 0) + bytes;
    this.rest(REST_AFTER_MS);
    return !this.stopped;
  };

  countFile(): void {
    this.job.counters[this.#counters] = (this.job.counters[this.#counters] ?? 0) + 1;
    this.rest(REST_AFTER_MS);
  }

  /** Rests as long as the run's share of a core asks for, once it was busy for so many milliseconds. */
  rest(after = 0): void {
    const { share = 1 } = this.run;
    if (share >= 1) return;
    const busy = performance.now() - this.#busySince;
    if (busy < after) return;
    // Wakes at once when the run is stopped.
    Atomics.wait(this.job.control, CONTROL_STOP, 0, busy * (1 / share - 1));
    this.#busySince = performance.now();
  }

  /** Takes findings about an entry, unless this run has some about it: two threads can meet one directory. */
  report(index: number, findings: readonly Finding[]): void {
    if (findings.length === 0) return;
    if (Atomics.exchange(this.job.claimed, index, 1) !== 0) return;
    const path = pathOf(this.job.tree, index);
    for (const finding of findings) this.findings.add(path, finding);
  }

  reportMissing(index: number): void {
    const { tree, scope } = this.job;
    if (((scope[index] ?? 0) & SCOPE_OPTIONAL) !== 0) return;
    const below = tree.type[index] === TYPE_DIR ? (tree.end[index] ?? 0) - index - 1 : 0;
    this.report(index, [missingFinding(entryAt(tree, index), below, this.run.at)]);
  }

  reportUnreadable(index: number, error: number, more: readonly Finding[] = []): void {
    const expected = entryAt(this.job.tree, index);
    this.report(index, [unreadableFinding(expected, errnoName(error), this.run.at), ...more]);
  }

  /** Takes down on which mount entry `index` lies, which `stat` is of. */
  noteMount(index: number): void {
    const { mountId } = stat;
    if (mountId === this.#mount || mountId === 0) return;
    this.#mount = mountId;
    if (this.#mounts.size < MAX_MOUNTS_NOTED && !this.#mounts.has(mountId)) this.#mounts.set(mountId, index);
  }

  /** Whether mode, owner and link count in `stat` are the entry's. */
  metadataMatches(index: number): boolean {
    const { tree } = this.job;
    return (
      stat.mode === tree.mode[index] &&
      stat.uid === tree.uid[index] &&
      stat.gid === tree.gid[index] &&
      (stat.nlink === tree.nlink[index] || tree.type[index] === TYPE_DIR)
    );
  }

  /** 32 bytes of SHA-256 that the manifest holds for the entry. */
  digestOf(index: number): Uint8Array {
    return this.job.tree.digest.subarray(index * 32, index * 32 + 32);
  }

  /** Whether 32 bytes of SHA-256 are the entry's. */
  digestMatches(index: number, digest: Uint8Array): boolean {
    const expected = this.job.tree.digest;
    let difference = 0;
    for (let i = 0; i < 32; i += 1) difference |= (expected[index * 32 + i] ?? 0) ^ (digest[i] ?? 0);
    return difference === 0;
  }

  /**
   * Whether the kernel checks what is read of an open file against the digest that the manifest holds, so that it
   * need not be read: `same`. `other` where the kernel has a digest that is not the manifest's; else `unknown`.
   * `stat` is of the file. Everything is read when a manifest is made, and on the way past the page cache.
   */
  askKernel(index: number, descriptor: number): 'same' | 'other' | 'unknown' {
    if (!stat.isVerity || (this.run.mode !== 'full' && this.run.mode !== 'sweep')) return 'unknown';
    const expected = verityOf(this.job.tree, index);
    if (expected === undefined || kernelVerity.of(descriptor) !== 0) return 'unknown';
    return Buffer.compare(expected, kernelVerity.digest) === 0 ? 'same' : 'other';
  }

  /** Whether packed attributes are the entry's; in mode `measure` they become so. */
  xattrsMatch(index: number, bytes: Uint8Array): boolean {
    if (this.run.mode === 'measure') {
      if (bytes.length > 0) this.xattrs.push({ index, bytes });
      return true;
    }
    const { tree } = this.job;
    if (bytes.length === 0 && tree.extraAt[index] === 0) return true;
    return Buffer.compare(bytes, xattrBytesOf(tree, index)) === 0;
  }

  /**
   * Whether the entry is in the very state, as `stat` shows it, in which it was last seen good. Its mode, owner and
   * size are held against the manifest all the same: an inode that was written below the file system, or under a
   * clock that was set back, keeps its times.
   */
  isUnchanged(index: number): boolean {
    const { good, stamps, tree } = this.job;
    return (
      good[index] === 1 &&
      stat.matches(stamps, index * STAMP_WORDS) &&
      this.metadataMatches(index) &&
      (tree.type[index] !== TYPE_FILE || stat.size === tree.size[index])
    );
  }

  /** Remembers that the entry is good in the state that `stat` shows. */
  remember(index: number): void {
    if (this.run.mode === 'rehash' || this.job.stamps.length === 0) return;
    stat.stamp(this.job.stamps, index * STAMP_WORDS);
    this.job.good[index] = this.#isSettled(stat.changedAt) ? 1 : 0;
  }

  #isSettled(changedAt: number): boolean {
    if (changedAt < this.#began - SETTLE_SECONDS) return true;
    // In a long run, what changed before it began may have settled, and what changed meanwhile has not.
    return Math.abs(this.#now() - changedAt) > SETTLE_SECONDS;
  }

  #now(): number {
    return Date.now() / 1000 + this.run.clockOffset;
  }

  forget(index: number): void {
    if (this.run.mode !== 'rehash') this.job.good[index] = 0;
  }

  /** The entry's name as text, one code unit a byte. */
  name(index: number): string {
    return nameOf(this.job.tree, index);
  }

  answer(): MeasureAnswer {
    return {
      findings: this.findings.first(),
      total: this.findings.total,
      xattrs: this.xattrs,
      mounts: [...this.#mounts].map(([id, index]) => ({ id, path: pathOf(this.job.tree, index) })),
      vouched: this.vouched,
      direct: this.direct,
    };
  }
}

import { parseSha256 } from '../../base/digest.ts';
import { FsVerityHasher } from '../../base/fs-verity.ts';
import { compareEntry, compareMetadata, describeEntry, racedFinding } from '../../manifest/compare.ts';
import { TYPE_FILE, entryAt, pathOf } from '../../manifest/packed-tree.ts';
import { unpackXattrs } from '../../manifest/xattr-blob.ts';
import { hasher, kernelVerity, pastCache, stat, xattrs } from './instruments.ts';
import type { Inspection } from './inspection.ts';
import { LinkedDigests } from './linked-digests.ts';
import { ENOENT, ENOTDIR, close, errno } from '../kernel/linux.ts';
import { openFile } from './open-file.ts';
import { entryOfStat, readEntry } from './read-entry.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/** How often a file that changes while it is read is read before that is the finding. */
export const READ_TRIES = 3;

/**
 * Checks regular files of one run. For each: open inside the directory, never through a link; compare type and
 * size, so that nothing else is read and nothing without bound; read and hash, unless the kernel vouches for the
 * content (`Inspection.askKernel`); compare the inode's state with
 * the one before. All by one descriptor: what is compared is what was read, whatever takes the name meanwhile.
 */
export class FileInspector {
  readonly #on: Inspection;
  readonly #before = new Uint32Array(STAMP_WORDS);
  readonly #linked: LinkedDigests;
  /** Where a manifest with fs-verity digests is made. */
  readonly #verity: FsVerityHasher | undefined;
  #open = -1;

  constructor(inspection: Inspection) {
    this.#on = inspection;
    const isAsked = inspection.run.mode === 'measure' && inspection.job.tree.verity.length > 0;
    this.#verity = isAsked ? new FsVerityHasher() : undefined;
    this.#linked = new LinkedDigests(inspection.job.linked);
  }

  /** Checks entry `index`, a file, in its open directory. */
  inspect(directory: number, index: number): void {
    this.#on.forget(index);
    for (let tries = 1; tries <= READ_TRIES; tries += 1) {
      const done = this.#attempt(directory, index);
      if (this.#open >= 0) close(this.#open);
      this.#open = -1;
      if (done) {
        this.#on.countFile();
        return;
      }
    }
    const { tree } = this.#on.job;
    const expected = describeEntry(entryAt(tree, index));
    this.#on.report(index, [racedFinding(pathOf(tree, index), expected, READ_TRIES, this.#on.run.at)]);
  }

  /** False where the file changed meanwhile. */
  #attempt(directory: number, index: number): boolean {
    const on = this.#on;
    const { tree } = on.job;
    this.#open = openFile(directory, on.nameAddress(index));
    if (this.#open < 0) return this.#cannotOpen(directory, index, errno());
    const error = stat.of(this.#open);
    if (error !== 0) return this.#unreadable(index, error);
    on.noteMount(index);
    if (stat.type !== TYPE_FILE || stat.size !== tree.size[index]) {
      on.report(index, compareEntry(entryAt(tree, index), entryOfStat(pathOf(tree, index)), on.run.at));
      return true;
    }
    stat.stamp(this.#before, 0);
    const kernel = on.askKernel(index, this.#open);
    const verity = kernel === 'other' ? Buffer.from(kernelVerity.digest) : undefined;
    // Where fs-verity digests are made, each name makes its own.
    const isLinked = stat.nlink > 1 && kernel !== 'same' && this.#verity === undefined;
    const known = isLinked && this.#linked.find(this.#before) === 'read';
    const place = isLinked ? this.#linked.place : -1;
    const digest =
      kernel === 'same' ? on.digestOf(index) : known ? this.#known(place) : this.#read(stat.size);
    if (typeof digest === 'number') return digest === 0 ? on.stopped : this.#unreadable(index, digest);
    const attributes = xattrs.ofDescriptor(this.#open);
    if (xattrs.error !== 0) return this.#unreadable(index, xattrs.error);
    if (stat.of(this.#open) !== 0 || !stat.matches(this.#before, 0)) return false;
    this.#linked.settle(place, digest);
    if (kernel === 'same') on.vouched += 1;
    this.#compare(index, digest, attributes, verity);
    return true;
  }

  /** `verity` is the kernel's fs-verity digest where it is not the manifest's. */
  #compare(index: number, digest: Uint8Array, attributes: Uint8Array, verity: Buffer | undefined): void {
    const on = this.#on;
    const { tree } = on.job;
    if (on.run.mode === 'measure') tree.digest.set(digest, index * 32);
    if (this.#verity !== undefined) tree.verity.set(this.#verity.digest(), index * 32);
    const isContent = verity === undefined && on.digestMatches(index, digest);
    if (isContent && on.metadataMatches(index) && on.xattrsMatch(index, attributes)) {
      on.remember(index);
      return;
    }
    const actual = entryOfStat(pathOf(tree, index));
    actual.sha256 = parseSha256(Buffer.from(digest).toString('hex'));
    if (verity !== undefined) actual.fsVerity = parseSha256(verity.toString('hex'));
    if (attributes.length > 0) actual.xattrs = unpackXattrs(attributes);
    on.report(index, compareEntry(entryAt(tree, index), actual, on.run.at));
  }

  /** What was read under another name of the inode, in this very state. */
  #known(place: number): Uint8Array {
    this.#on.countBytes(stat.size);
    return this.#linked.digestAt(place);
  }

  /** SHA-256 of the open file; 0 where it changed or the run was stopped; else the errno. */
  #read(size: number): Uint8Array | number {
    const on = this.#on;
    if (on.run.mode === 'rehash') {
      const disk = pastCache();
      const outcome = disk.hash(this.#open, size, on.countBytes, !stat.isVerity);
      if (disk.isDirect) on.direct += size;
      return outcome === 'failed' ? disk.error : outcome === 'read' ? disk.digest : 0;
    }
    const verity = this.#verity;
    // Of a file that changes meanwhile, nothing is left over for the next try.
    verity?.digest();
    const outcome = hasher.hash(this.#open, size, on.countBytes, verity && ((bytes) => verity.update(bytes)));
    if (outcome === 'failed') return hasher.error;
    return outcome === 'read' ? hasher.digest : 0;
  }

  #cannotOpen(directory: number, index: number, error: number): boolean {
    const on = this.#on;
    const path = pathOf(on.job.tree, index);
    const actual = readEntry(directory, on.nameAddress(index), on.name(index), path);
    if (typeof actual === 'number') {
      if (actual === ENOENT || actual === ENOTDIR) on.reportMissing(index);
      else on.reportUnreadable(index, error);
      return true;
    }
    const expected = entryAt(on.job.tree, index);
    if (actual.type !== 'file') {
      on.report(index, compareEntry(expected, actual, on.run.at));
      return true;
    }
    // It was away and is back: another try.
    if (error === ENOENT) return false;
    on.reportUnreadable(
      index,
      error,
      on.run.mode === 'measure' ? [] : compareMetadata(expected, actual, on.run.at),
    );
    return true;
  }

  #unreadable(index: number, error: number): boolean {
    this.#on.reportUnreadable(index, error);
    return true;
  }
}

import { type BytePath, joinPath, parentPath } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import { racedFinding } from '../../manifest/compare.ts';
import { ENTRY_TYPES } from '../../manifest/entry.ts';
import {
  type Observed,
  compareStated,
  describeObserved,
  describeStated,
  needsContent,
  withoutContent,
} from '../../manifest/mtree/compare-stated.ts';
import { DIGEST_NAMES, type Stated } from '../../manifest/mtree/listing.ts';
import { TYPE_BLOCK, TYPE_CHAR, TYPE_LINK } from '../../manifest/packed-tree.ts';
import { unpackXattrs } from '../../manifest/xattr-blob.ts';
import { type ContentDigests, digestContent } from './content-digests.ts';
import { FindingList } from '../measure/finding-list.ts';
import { READ_TRIES } from '../measure/inspect-file.ts';
import { lister, nameAddress, stat, xattrs } from '../measure/instruments.ts';
import { ELOOP, ENOENT, ENOTDIR, OPEN_DIRECTORY, close, errno, errnoName, openat } from '../kernel/linux.ts';
import type {
  ClosedDirectory,
  ListedAnswer,
  ListedDirectory,
  ListedUnit,
  ListingJob,
} from './listing-job.ts';
import { openBelow } from '../measure/open-below.ts';
import { openFile } from '../measure/open-file.ts';
import { readLink } from '../measure/read-entry.ts';
import { STAMP_WORDS } from '../kernel/stat.ts';

/** Checks one unit of a listing; `thread` numbers the caller from 0. */
export function inspectListed(job: ListingJob, unit: ListedUnit, thread: number): ListedAnswer {
  const inspector = new ListedInspector(job, thread);
  const closed = inspector.inspect(unit);
  const { findings } = inspector;
  return { findings: findings.first(), total: findings.total, closed };
}

class ListedInspector {
  readonly findings: FindingList = new FindingList();
  readonly #job: ListingJob;
  readonly #thread: number;
  readonly #before = new Uint32Array(STAMP_WORDS);

  constructor(job: ListingJob, thread: number) {
    this.#job = job;
    this.#thread = thread;
  }

  /** What there is to say of the directory where it can't be entered. */
  inspect({ directory, own, entries }: ListedUnit): ClosedDirectory | undefined {
    const opened =
      own === undefined ? this.#reopen(directory) : this.#enter(directory, own, entries.length > 0);
    if (typeof opened !== 'number') return opened;
    try {
      if (own?.names !== undefined) this.#listNames(opened, directory, own.names);
      for (const { name, stated } of entries) this.#entry(opened, joinPath(directory, name), name, stated);
    } finally {
      close(opened);
    }
    return undefined;
  }

  /** Checks a directory and opens it. */
  #enter(path: BytePath, own: ListedDirectory, holds: boolean): number | ClosedDirectory {
    const { stated } = own;
    const parent = openBelow(this.#job.root, parentPath(path));
    if (parent < 0) return { findings: this.#cannotEnter(path, stated, -parent), isFirstHand: false };
    try {
      const name = path === '' ? '.' : path.slice(path.lastIndexOf('/') + 1);
      const observed = this.#observe(parent, name, stated);
      if (typeof observed === 'number') return firstHand(this.#cannotEnter(path, stated, observed));
      const differences = this.#compare(path, stated, observed);
      if (observed.type !== 'dir') {
        // With `nochange` anything may stand there, unless more is listed below it.
        const isAsked = holds || (own.names?.size ?? 0) > 0;
        if (differences.length > 0 || !isAsked) return firstHand(differences);
        return firstHand(this.#compare(path, { type: 'dir' }, observed));
      }
      for (const difference of differences) this.findings.add(path, difference);
      const opened = openat(parent, nameAddress(name), OPEN_DIRECTORY);
      return opened < 0 ? firstHand(this.#cannotEnter(path, stated, errno())) : opened;
    } finally {
      close(parent);
    }
  }

  #reopen(path: BytePath): number | ClosedDirectory {
    const opened = openBelow(this.#job.root, path);
    if (opened >= 0) return opened;
    return { findings: this.#cannotEnter(path, { type: 'dir' }, -opened), isFirstHand: false };
  }

  #cannotEnter(path: BytePath, stated: Stated, error: number): Finding[] {
    if (!isAbsence(error)) return [this.#unreadable(path, stated, error)];
    return stated.optional === true ? [] : [this.#missing(path, stated)];
  }

  /** Finds what stands in a directory without being listed. */
  #listNames(directory: number, path: BytePath, names: ReadonlySet<string>): void {
    const error = lister.list(directory, (bytes, from, to) => {
      const name = bytes.toString('latin1', from, to);
      if (names.has(name)) return;
      const observed = this.#observe(directory, name, {});
      if (observed === ENOENT) return;
      const actual = typeof observed === 'number' ? errnoName(observed) : describeObserved(observed);
      const at = joinPath(path, name);
      this.findings.add(at, finding(at, 'unexpected', '', actual, this.#job.at));
    });
    if (error !== 0) this.findings.add(path, this.#unreadable(path, { type: 'dir' }, error));
  }

  #entry(directory: number, path: BytePath, name: string, stated: Stated): void {
    const found = this.#check(directory, path, name, stated);
    for (const one of found) this.findings.add(path, one);
  }

  #check(directory: number, path: BytePath, name: string, stated: Stated): Finding[] {
    for (let tries = 1; tries <= READ_TRIES; tries += 1) {
      const observed = this.#observe(directory, name, stated);
      if (typeof observed === 'number') {
        if (!isAbsence(observed)) return [this.#unreadable(path, stated, observed)];
        return stated.optional === true ? [] : [this.#missing(path, stated)];
      }
      if (!needsContent(stated, observed)) {
        // Of an entry without a type nobody said that it is a directory; if it is, nothing may stand in it.
        if (observed.type === 'dir' && stated.nochange !== true && stated.ignore !== true) {
          this.#listUntyped(directory, path, name, stated);
        }
        return this.#compare(path, stated, observed);
      }
      const findings = this.#read(directory, path, name, stated);
      if (findings !== undefined) return findings;
    }
    return [racedFinding(path, describeStated(stated), READ_TRIES, this.#job.at)];
  }

  #listUntyped(parent: number, path: BytePath, name: string, stated: Stated): void {
    if (stated.type !== undefined) return;
    const opened = openat(parent, nameAddress(name), OPEN_DIRECTORY);
    if (opened < 0) {
      this.findings.add(path, this.#unreadable(path, stated, errno()));
      return;
    }
    this.#listNames(opened, path, new Set());
    close(opened);
  }

  /** Reads and compares a file, all by one descriptor; undefined where it changed meanwhile. */
  #read(directory: number, path: BytePath, name: string, stated: Stated): Finding[] | undefined {
    const descriptor = openFile(directory, nameAddress(name));
    if (descriptor < 0) {
      const error = errno();
      return isAbsence(error) ? undefined : this.#cannotRead(directory, path, name, stated, error);
    }
    try {
      const error = stat.of(descriptor);
      if (error !== 0) return [this.#unreadable(path, stated, error)];
      const observed = observedOfStat();
      if (!needsContent(stated, observed)) return undefined;
      stat.stamp(this.#before, 0);
      const digests = this.#digests(descriptor, observed.size, stated);
      if (digests === 'changed') return undefined;
      if (typeof digests === 'number') return this.#cannotRead(directory, path, name, stated, digests);
      Object.assign(observed, digests);
      if (stated.xattrs !== undefined) {
        observed.xattrs = unpackXattrs(xattrs.ofDescriptor(descriptor));
        if (xattrs.error !== 0) return [this.#unreadable(path, stated, xattrs.error)];
      }
      if (stat.of(descriptor) !== 0 || !stat.matches(this.#before, 0)) return undefined;
      this.#count(1, 0);
      return this.#compare(path, stated, observed);
    } finally {
      close(descriptor);
    }
  }

  #digests(descriptor: number, size: number, stated: Stated): ContentDigests | 'changed' | number {
    const names = DIGEST_NAMES.filter((name) => stated[name] !== undefined);
    const withCksum = stated.cksum !== undefined;
    return digestContent(descriptor, size, names, withCksum, (bytes) => this.#count(0, bytes));
  }

  /** The content can't be read; the rest is compared all the same. */
  #cannotRead(directory: number, path: BytePath, name: string, stated: Stated, error: number): Finding[] {
    const observed = this.#observe(directory, name, stated);
    const more = typeof observed === 'number' ? [] : this.#compare(path, withoutContent(stated), observed);
    return [this.#unreadable(path, stated, error), ...more];
  }

  /** What stands under a name, without opening it; or the errno. */
  #observe(directory: number, name: string, stated: Stated): Observed | number {
    const error = stat.at(directory, nameAddress(name));
    if (error !== 0) return error;
    const observed = observedOfStat();
    if (stat.type === TYPE_LINK) {
      const target = readLink(directory, nameAddress(name));
      if (typeof target === 'number') return target;
      observed.link = Buffer.from(target).toString('latin1');
    }
    if (stated.xattrs !== undefined) {
      observed.xattrs = unpackXattrs(xattrs.ofName(directory, name));
      if (xattrs.error !== 0) return xattrs.error;
    }
    return observed;
  }

  #compare(path: BytePath, stated: Stated, observed: Observed): Finding[] {
    return compareStated(path, stated, observed, this.#job.accounts, this.#job.at);
  }

  #missing(path: BytePath, stated: Stated): Finding {
    return finding(path, 'missing', describeStated(stated), 'nothing', this.#job.at);
  }

  #unreadable(path: BytePath, stated: Stated, error: number): Finding {
    return finding(path, 'unreadable', describeStated(stated), errnoName(error), this.#job.at);
  }

  #count(files: number, bytes: number): void {
    const { counters } = this.#job;
    const at = this.#thread * 2;
    counters[at] = (counters[at] ?? 0) + files;
    counters[at + 1] = (counters[at + 1] ?? 0) + bytes;
  }
}

function firstHand(findings: Finding[]): ClosedDirectory {
  return { findings, isFirstHand: true };
}

/** What `stat` holds. */
function observedOfStat(): Observed {
  const { mode, uid, gid, nlink, size, type, device } = stat;
  const observed: Observed = {
    // What has no known type is nothing that a manifest could list.
    type: ENTRY_TYPES[type] ?? 'socket',
    mode,
    uid,
    gid,
    nlink,
    size,
    time: stat.modifiedAt,
  };
  if (type === TYPE_CHAR || type === TYPE_BLOCK) {
    observed.device = { major: Math.floor(device / 2 ** 32), minor: device % 2 ** 32 };
  }
  return observed;
}

function isAbsence(error: number): boolean {
  return error === ENOENT || error === ENOTDIR || error === ELOOP;
}

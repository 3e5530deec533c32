import { ContentHasher } from './content-hasher.ts';
import { DiskHasher } from './disk-hasher.ts';
import { KernelVerity } from '../kernel/kernel-verity.ts';
import { DirectoryLister } from './list-directory.ts';
import { Pinned } from '../kernel/linux.ts';
import { type PairedSha256, openPairedSha256 } from './paired-sha256.ts';
import { Stat } from '../kernel/stat.ts';
import { XattrReader } from '../kernel/xattrs.ts';

/**
 * One set for each thread, used again for every file: the memory that system calls write to is allocated once
 * and never freed. What they hold is good until the next await.
 */
export const stat: Stat = new Stat();
export const xattrs: XattrReader = new XattrReader();
export const lister: DirectoryLister = new DirectoryLister();
export const hasher: ContentHasher = new ContentHasher();
export const kernelVerity: KernelVerity = new KernelVerity();

let disk: DiskHasher | undefined;

/** The hasher that reads past the page cache; only a thread that rehashes has the memory for it. */
export function pastCache(): DiskHasher {
  return (disk ??= new DiskHasher());
}

let paired: { sha: PairedSha256 | undefined } | undefined;

/** The hasher for two files at once, or undefined where this machine has none; tried once a thread. */
export function pairedSha256(): PairedSha256 | undefined {
  paired ??= { sha: openPairedSha256() };
  return paired.sha;
}

const scratchName = new Pinned(256);

/** Writes a name (raw bytes, one code unit each) with its NUL where system calls can take it. */
export function nameAddress(name: string): number {
  const end = scratchName.bytes.write(name, 0, 255, 'latin1');
  scratchName.bytes[end] = 0;
  return scratchName.address;
}
